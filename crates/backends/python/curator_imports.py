"""What a stage's file imports before it does anything else: packages that are installed.

The order in which a file does things has a meaning (`os.environ[...] = ...` before `import torch`),
so what is found ends where something else begins that could have an effect: an import of a module
that is not installed, a call, a class.
"""

import ast
import os
from importlib.util import find_spec

__all__ = ["leading_imports"]

# What the worker itself offers to stages.
_OURS = ("curator_stage", "curator_table")


def leading_imports(path):
    """Pairs of a module's name and the names taken from it, in order; none where the file cannot be
    read, which its worker tells."""
    try:
        with open(path, "rb") as file:
            body = ast.parse(file.read()).body
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
        return []
    found = []
    for statement in body:
        imports = _imports(statement)
        if imports is None:
            break
        for module, names in imports:
            root = module.partition(".")[0]
            if root in _OURS or root == "__future__":
                continue
            if not _is_installed(root):
                return found
            found.append((module, names))
    return found


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


def _is_installed(root):
    """Whether a module comes with Python or with a package, and is no file of the user's."""
    try:
        spec = find_spec(root)
    except (ImportError, ValueError):
        return False
    if spec is None:
        return False
    if spec.origin in ("built-in", "frozen"):
        return True
    places = list(spec.submodule_search_locations or ()) or [spec.origin or ""]
    return all(_is_in_packages(place) for place in places)


def _is_in_packages(place):
    own = [folder for folder in os.environ.get("PYTHONPATH", "").split(os.pathsep) if folder]
    if any(_is_below(place, folder) for folder in own):
        return False
    parts = place.split(os.sep)
    is_package = "site-packages" in parts or "dist-packages" in parts
    return is_package or _is_below(place, os.path.dirname(os.__file__))


def _is_below(place, folder):
    return place.startswith(os.path.join(os.path.abspath(folder), ""))
