"""What a stage's code imports before it does anything else: packages that are installed.

The order in which a file does things has a meaning (`os.environ[...] = ...` before `import torch`),
so what is found ends where something else begins that could have an effect: an import of a module
that is not installed, a call, a class.
"""

import ast
import os
from importlib.util import find_spec

__all__ = ["OFFENDERS", "imports_of", "is_installed", "leading_imports", "shared_steps"]

# What the worker itself offers to stages.
_OURS = ("curator_stage", "curator_table")


# What is never imported before a fork, and why.
OFFENDERS = dict.fromkeys(
    ("cudf", "cugraph", "cuml", "cuvs", "dask_cudf", "pylibcudf", "raft_dask", "rmm"),
    "it begins to use a GPU when it is imported",
)


def imports_of(source):
    """Pairs of a module's name and the names taken from it, in order: what `preload` names, then
    what the code imports first; none where the code cannot be read, which its worker tells."""
    found = [(name, ()) for name in source["preload"]]
    # A stage's module, and the package that it is in, are the stage's code wherever they lie: they
    # run after the fork.
    own = (source["module"] or "").partition(".")[0]
    for path in _files_of(source):
        more, is_whole = leading_imports(path, own)
        found += more
        if not is_whole:
            break
    return found


def shared_steps(sources):
    """The longest beginning that the imports of all sources have in common, step by step.

    Python's own modules are left out: an import of them costs little, and their order matters to
    none.
    """
    shared = None
    for source in sources:
        steps = _steps_of(source)
        if shared is None:
            shared = steps
            continue
        pairs = zip(shared, steps)
        same = next((at for at, pair in enumerate(pairs) if pair[0] != pair[1]), None)
        shared = shared[: min(len(shared), len(steps)) if same is None else same]
    return shared or []


def _steps_of(source):
    """The imports as pairs of a module and what is taken from it, one at a time: a file that begins
    with `import a.b` shares the import of `a` with one that begins with `from a import c`."""
    steps = []
    for at, (module, names) in enumerate(imports_of(source)):
        parts = module.split(".")
        if at >= len(source["preload"]) and _is_standard(parts[0]):
            continue
        wanted = [(".".join(parts[: end + 1]), ()) for end in range(len(parts))]
        wanted += [(module, (name,)) for name in names]
        steps += [step for step in wanted if step not in steps]
    return steps


def _files_of(source):
    """The files that run when the code is loaded, in order: of a module, first those of the
    packages that it is in. No package is imported to find them."""
    if source["file"] is not None:
        yield source["file"]
    if source["module"] is None:
        return
    root, *inner = source["module"].split(".")
    try:
        spec = find_spec(root)
    except (ImportError, ValueError):
        return
    if spec is None:
        return
    folders = list(spec.submodule_search_locations or ())
    if spec.has_location or not folders:
        yield spec.origin or ""
    for part in inner:
        # `find_spec("a.b")` would import `a`.
        file, folders = _find(part, folders)
        if file is not None:
            yield file
        elif not folders:
            return


def _find(part, folders):
    """The file of a module in a package that has these folders, and the folders that it has itself,
    as a package; a namespace has no file."""
    places = [os.path.join(folder, part) for folder in folders]
    for place in places:
        init = os.path.join(place, "__init__.py")
        if os.path.isfile(init):
            return init, [place]
        if os.path.isfile(f"{place}.py"):
            return f"{place}.py", []
    return None, [place for place in places if os.path.isdir(place)]


def leading_imports(path, own=""):
    """What a file imports first, in order, and whether it does nothing else."""
    try:
        with open(path, "rb") as file:
            body = ast.parse(file.read()).body
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
        return [], False
    found = []
    for statement in body:
        imports = _imports(statement)
        if imports is None:
            return found, False
        for module, names in imports:
            root = module.partition(".")[0]
            if root in _OURS or root == "__future__":
                continue
            if root == own or not is_installed(root):
                return found, False
            found.append((module, names))
    return found, True


def _imports(statement):
    """What a statement imports; None if it may do something else."""
    if isinstance(statement, ast.Import):
        return [(name.name, ()) for name in statement.names]
    if isinstance(statement, ast.ImportFrom):
        names = tuple(name.name for name in statement.names)
        return None if statement.level else [(statement.module, names)]
    return [] if _is_idle(statement) else None


def _is_idle(statement):
    """Whether a statement only names something: a text, a constant, a plain function."""
    if isinstance(statement, ast.Expr):
        return isinstance(statement.value, ast.Constant)
    if isinstance(statement, ast.Assign):
        is_name = all(isinstance(target, ast.Name) for target in statement.targets)
        return is_name and _is_constant(statement.value)
    if isinstance(statement, ast.If):
        # What type checkers alone see.
        test = statement.test
        name = test.attr if isinstance(test, ast.Attribute) else getattr(test, "id", None)
        return name == "TYPE_CHECKING" and not statement.orelse
    return False


def _is_constant(value):
    if isinstance(value, (ast.Tuple, ast.List)):
        return all(_is_constant(item) for item in value.elts)
    return isinstance(value, ast.Constant)


def is_installed(root):
    """Whether a module comes with Python or with a package, and is no file of the user's."""
    places = _places_of(root)
    return places is not None and all(_is_in_packages(place) for place in places)


def _is_standard(root):
    """Whether a module comes with Python."""
    places = _places_of(root)
    return places is not None and all(
        _is_below(place, _LIBRARY) and not _is_in_site(place) for place in places
    )


def _places_of(root):
    """Where a module's files are: none for one that is built in, and None where there is none."""
    try:
        spec = find_spec(root)
    except (ImportError, ValueError):
        return None
    if spec is None:
        return None
    if spec.origin in ("built-in", "frozen"):
        return []
    return list(spec.submodule_search_locations or ()) or [spec.origin or ""]


def _is_in_packages(place):
    own = [folder for folder in os.environ.get("PYTHONPATH", "").split(os.pathsep) if folder]
    if any(_is_below(place, folder) for folder in own):
        return False
    return _is_in_site(place) or _is_below(place, _LIBRARY)


def _is_in_site(place):
    parts = place.split(os.sep)
    return "site-packages" in parts or "dist-packages" in parts


def _is_below(place, folder):
    return place.startswith(os.path.join(os.path.abspath(folder), ""))


_LIBRARY = os.path.dirname(os.__file__)
