"""A stage's code: loading it, asking what it declares and takes, and telling its errors."""

import os
import sys

__all__ = [
    "attribute_of",
    "attributes_of",
    "construct",
    "declared",
    "declared_by",
    "describe_error",
    "is_class",
    "is_same_module",
    "load",
    "module_file",
    "module_of",
    "positional_and_named",
    "takes_argument",
]


def load(code, args):
    """The object that does the work: an instance, or a function bound to its arguments."""
    return construct(module_of(code), code["name"], args)


def module_of(code):
    """The module that a stage's code is in."""
    import importlib

    if "file" in code:
        path = code["file"]
        folder, base = os.path.split(path)
        name = os.path.splitext(base)[0]
        if folder not in sys.path:
            sys.path.append(folder)
        other = sys.modules.get(name)
        if other is not None:
            raise ImportError(
                f"the stage file {path} would hide the module {name!r}"
                f" ({getattr(other, '__file__', 'built in')}): rename the file"
            )
        import importlib.util

        spec = importlib.util.spec_from_file_location(name, path)
        if spec is None:
            raise ImportError(f"{path} is no Python file")
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
        _check_neighbours(module, path)
        return module
    return importlib.import_module(code["module"])


def _check_neighbours(module, path):
    """Refuses a module from elsewhere where one of that name lies beside the stage's file.

    `python FILE` would take that one. A worker looks there last, so that no file of the user's
    takes the place of what packages import."""
    import types

    folder = os.path.dirname(path)
    kinds = (type, types.FunctionType, types.BuiltinFunctionType)
    names = {
        value.__name__ if isinstance(value, types.ModuleType) else value.__module__
        for value in vars(module).values()
        if isinstance(value, (types.ModuleType, *kinds))
    }
    for root in sorted({str(name).partition(".")[0] for name in names}):
        beside = module_file(folder, root)
        if beside is None or root == module.__name__:
            continue
        found = getattr(sys.modules.get(root), "__file__", None)
        if not is_same_module(found, beside):
            raise ImportError(
                f"the stage file {path} gets the module {root!r} from {found or 'Python itself'},"
                f" not from {beside}, which comes last in a worker: rename that, or install it in"
                " place (`pip install -e`)"
            )


def module_file(folder, name):
    """The file of a module or a package in a folder, or None."""
    places = (os.path.join(folder, name, "__init__.py"), os.path.join(folder, f"{name}.py"))
    return next((place for place in places if os.path.isfile(place)), None)


def is_same_module(one, other):
    """Whether the files of two modules are one, or have the same contents; of packages, all."""
    try:
        if os.path.samefile(one, other):
            return True
        one, other = _sources_of(one), _sources_of(other)
        return one.keys() == other.keys() and all(_read(one[it]) == _read(other[it]) for it in one)
    except (OSError, TypeError):
        return False


def _sources_of(path):
    """The file, or all files of Python in its package, by their names in it."""
    folder, name = os.path.split(path)
    if name != "__init__.py":
        return {"": path}
    found = {}
    for place, _, names in os.walk(folder):
        for name in names:
            if name.endswith(".py"):
                file = os.path.join(place, name)
                found[os.path.relpath(file, folder)] = file
    return found


def _read(path):
    with open(path, "rb") as file:
        return file.read()


def construct(module, name, args):
    """The object of that name in a module, constructed with its arguments."""
    found = attribute_of(module, name)
    positional, named = positional_and_named(args)
    if is_class(found):
        if isinstance(found, type) and "nemo_curator.stages.base" in sys.modules:
            from curator_nemo import arguments

            positional, named = arguments(found, positional, named, _made)
        return found(*positional, **named)
    if hasattr(found, "process") or hasattr(found, "process_batch"):
        return found
    if not callable(found):
        raise TypeError(f"{name!r} is neither a class nor a function")
    if not (positional or named):
        return _Function(found, found)
    return _Function(found, lambda task: found(task, *positional, **named))


def _made(place, args):
    """The object that stands in an argument by its place: an instance of a class, or a function,
    with its arguments."""
    module, _, name = place.partition(":")
    found = attribute_of(module_of({"module": module}), name)
    positional, named = positional_and_named(args)
    if isinstance(found, type):
        return found(*positional, **named)
    if not (positional or named):
        return found
    import functools

    return functools.partial(found, *positional, **named)


def positional_and_named(args):
    """The arguments of an entry, which are a list or a table, or None."""
    return ((), args) if isinstance(args, dict) else (args or (), {})


def attribute_of(module, name):
    """The object of that name in a module, or in a class of it."""
    found = module
    for part in name.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            known = ", ".join(n for n in dir(found) if not n.startswith("_")) or "nothing"
            raise AttributeError(f"{module.__name__} has no {name!r}; it defines {known}") from None
    return found


def is_class(found):
    """Whether this is a class, or one with some of its arguments or types for its variables."""
    tools = sys.modules.get("functools")
    while tools is not None and isinstance(found, tools.partial):
        found = found.func
    if type(found).__module__ in ("types", "typing"):  # `Clean[str]` of a generic class.
        found = getattr(found, "__origin__", found)
    return isinstance(found, type)


class _Function:
    """A plain function as a stage."""

    def __init__(self, function, process):
        self.function = function
        self.process = process


# How the names of settings begin and end: a mistake is in either of them, or in between.
_HEADS = frozenset(("ba", "in", "nu", "ou", "ra", "re", "ru", "ta", "xe"))
_TAILS = frozenset(("de", "ds", "ec", "es", "ks", "nv", "rs", "ts", "ze"))
# Heads and tails of these are those of much else.
_LONG_HEADS = ("iso", "max_a", "maxa", "preload")
_HOOKS = ("setup", "teardown")
_HOOK_TAILS = ("tup", "t_up", "ups", "down", "downs", "node")


def declared(stage):
    """What the stage's code declares about itself: most declare nothing, and pay for no more than a
    look at their names."""
    found = None
    for one in _declarers(stage):
        names = _names_of(one)
        if not names.isdisjoint(("__getattr__", "_curator_with")) or any(
            name[:2].lower() in _HEADS
            or name[-2:].lower() in _TAILS
            or name.lower().startswith(_LONG_HEADS)
            or (name.lower().endswith(_HOOK_TAILS) and name not in _HOOKS)
            for name in names
            if name[:1] != "_"
        ):
            found = _declared(one, names, found)
    return found or {}


def declared_by(stage):
    """Returns the declarations for certain, whatever the attributes' names are."""
    found = None
    for one in _declarers(stage):
        found = _declared(one, _names_of(one), found)
    return found


def attributes_of(stage):
    """Returns the attributes of the object that declares for a stage before all others."""
    return getattr(stage.function if isinstance(stage, _Function) else stage, "__dict__", {})


def _names_of(stage):
    """The names that an object has; `__getattr__` if it may have any."""
    names = set(getattr(stage, "__dict__", ()))
    kinds = type(stage).__mro__
    if isinstance(stage, type):  # It is a method of the class.
        kinds = stage.__mro__
    elif type(type(stage)) is not type:
        kinds += type(type(stage)).__mro__[:-2]  # Without `type` and `object`.
    for kind in kinds:
        names.update(vars(kind))
    if isinstance(type(stage).__getattribute__, _FUNCTION):
        names.add("__getattr__")
    return {name for name in names if isinstance(name, str)}


def _declarers(stage):
    """The objects that may declare for a stage, the nearest first."""
    if isinstance(stage, _Function):
        stage = stage.function
        if type(stage) is _FUNCTION and not stage.__dict__:
            return (stage,)
    elif "__wrapped__" not in getattr(stage, "__dict__", ()):
        holders = (stage, *type(stage).__mro__)
        methods = [getattr(holder, "__dict__", {}).get(it) for holder in holders for it in _WORK]
        if not any(getattr(getattr(it, "__func__", it), "__dict__", None) for it in methods):
            return (stage,)
    from curator_declared import declarers

    return declarers(stage)


_FUNCTION = type(_names_of)
_WORK = ("process", "process_batch")


def _declared(stage, names, nearer):
    from curator_declared import declared

    # What `with_` or `@stage` of the package says of it.
    given = getattr(stage, "__dict__", {}).get("_curator_with")
    if isinstance(given, dict):
        nearer = declared(type(sys.implementation)(**given), set(given), nearer)
    return declared(stage, names, nearer)


def describe_error(error):
    """The user's error as plain data, its traceback without the worker's frames."""
    import traceback

    trace = error.__traceback__
    while trace is not None and _is_ours(trace.tb_frame.f_code.co_filename):
        trace = trace.tb_next
    try:
        lines = traceback.format_exception(type(error), error, trace)
    except Exception as second:  # An error whose text cannot be made must still be reported.
        lines = [f"{type(error).__name__} (its text failed with {type(second).__name__})\n"]
    try:
        message = str(error)
    except Exception:
        message = "(no text)"
    told = {
        "type": type(error).__qualname__,
        "message": _printable(_cut(message)),
        "traceback": _printable(_cut("".join(lines))),
    }
    objects = sys.modules.get("curator_objects")
    if objects is not None:
        told["pickled"] = objects.exception(error)
    return told


# The files whose frames stand above a stage's own in a traceback.
_OURS = frozenset(
    f"curator_{name}.py"
    for name in ("arenas", "batches", "cells", "code", "late", "loop", "nemo", "streams", "worker")
)


def _is_ours(file):
    """Whether a frame in this file is none of the stage's: of the worker's, or of its loop's."""
    if os.path.basename(file) in _OURS:
        return True
    return file == getattr(sys.modules.get("asyncio.base_events"), "__file__", None)


# Characters of an error's text: each record of a failed task has it, and so do reports.
_LONGEST = 1 << 18


def _cut(text):
    """The beginning and the end of a long text, which say what it was about."""
    if len(text) <= _LONGEST:
        return text
    half = _LONGEST // 2
    return f"{text[:half]}\n[… {len(text) - 2 * half} characters …]\n{text[-half:]}"


def _printable(text):
    """The text without lone surrogates, which no UTF-8 can carry."""
    return text.encode("utf-8", "backslashreplace").decode()


def _takes_all(function):
    """Whether a decorator's function passes on whatever it gets, as far as is known."""
    code = getattr(function, "__code__", None)
    return code is None or bool(code.co_flags & _VARARGS)


_VARARGS = 4  # As in `inspect`.


def takes_argument(hook):
    """Whether a hook wants the context: looks through decorators, as `inspect.signature` does."""
    function = getattr(hook, "__func__", hook)
    is_bound = function is not hook
    while hasattr(function, "__wrapped__") and _takes_all(function):
        function = function.__wrapped__
    code = getattr(function, "__code__", None)
    if code is not None:
        return code.co_argcount > is_bound
    import inspect  # Costs milliseconds, and only `functools.partial` and its like need it.

    try:
        parameters = inspect.signature(hook).parameters.values()
    except (TypeError, ValueError):
        return False
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return any(parameter.kind in positional for parameter in parameters)
