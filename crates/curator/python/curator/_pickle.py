"""The pickler of stages, tasks and exceptions between a user's own processes.

Classes of `__main__` and of a notebook have no module that a worker could import, so they travel by
value, which plain pickle cannot do: hence cloudpickle. It is vendored, for the wheel is to need
nothing else, and both ends must have the same one.
"""

import contextlib
import functools
import hashlib
import inspect
import io
import os
import pickle
import sys
import types
import weakref
from typing import Any, Optional

from curator._parts import TOOLS
from curator._raised import limited_parts_of, parts_of, rebuilt, reduces_itself, with_state
from curator._vendor.cloudpickle import cloudpickle as _cloudpickle

__all__ = ["dumps", "dumps_exception", "dumps_stage", "is_own", "loads", "unsendable"]

# Known to every Python from 3.8 on.
_PROTOCOL = 5

# It comes without types.
cloudpickle: Any = _cloudpickle


# Classes that came by value and whose contents have not come yet.
_unfinished: "weakref.WeakSet[type]" = weakref.WeakSet()


class _Unpickler(pickle.Unpickler):
    """Leaves classes and functions that are here already as they are.

    cloudpickle would set what the other process has in them: methods that see a copy of the
    program's globals, and whatever a worker has changed.
    """

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._own_functions: list[Any] = []

    def find_class(self, module: str, name: str) -> Any:
        found: Any = super().find_class(module, name)
        if module != cloudpickle.__name__:
            return found
        if name in ("_make_skeleton_class", "_make_skeleton_enum"):
            return functools.partial(_class_of, found)
        if name == "_class_setstate":
            return _finished
        if name == "_make_function":
            return functools.partial(self._function_of, found)
        if name == "_function_setstate":
            return functools.partial(self._with_state, found)
        return found

    def _function_of(
        self, make: Any, code: Any, variables: Any, name: Any, defaults: Any, *rest: Any
    ) -> Any:
        """The program's own function where a function of it comes back, else a new one."""
        module = sys.modules.get(str(variables.get("__name__")))
        own: Any = vars(module).get(code.co_name) if module is not None else None
        is_own = isinstance(own, types.FunctionType) and own.__code__ == code
        if (
            is_own
            and not code.co_freevars
            and _is_bare(own)
            and _is_same(own.__defaults__, defaults)
        ):
            self._own_functions.append(own)
            return own
        return make(code, variables, name, defaults, *rest)

    def _with_state(self, set_state: Any, function: Any, state: Any) -> None:
        if not any(function is own for own in self._own_functions):
            set_state(function, state)


def _is_bare(function: Any) -> bool:
    """Whether a function is told by its code and its defaults, and these can be compared."""
    has_more = function.__kwdefaults__ or function.__dict__
    return not has_more and all(type(it) in _COMPARED for it in function.__defaults__ or ())


_COMPARED = frozenset((type(None), bool, int, float, str, bytes))


def _is_same(one: Any, other: Any) -> bool:
    return repr(one) == repr(other)  # It tells 1 from True, and is equal for a NaN.


def _of_function(function: Any, reduced: Any) -> Any:
    """What makes a function again. The reader has to know its defaults before it makes it."""
    if not _is_bare(function):
        return (remade, *reduced[1:])
    make, (code, variables, name, _, *rest), *state = reduced
    return (make, (code, variables, name, function.__defaults__, *rest), *state)


def remade(code: Any, variables: Any, *rest: Any) -> Any:
    """A new function, of one that is not bare."""
    return cloudpickle._make_function(code, variables, *rest)


def _class_of(make: Any, *arguments: Any) -> Any:
    """The class that has an id here, else one to be finished."""
    *form, identity, extra = arguments
    own = cloudpickle._DYNAMIC_CLASS_TRACKER_BY_ID.get(identity)
    if own is not None:
        return own
    made = make(*form, None, extra)
    # Before it is found by its id: another thread that finds it may have to finish it.
    _unfinished.add(made)
    return cloudpickle._lookup_class_or_track(identity, made)


def _finished(kind: Any, state: Any) -> None:
    if kind in _unfinished:
        cloudpickle._class_setstate(kind, state)
        _unfinished.discard(kind)


def loads(pickled: Any) -> Any:
    """The value of a pickle of this module's."""
    return _Unpickler(io.BytesIO(pickled)).load()


class _Pickler(cloudpickle.Pickler):  # type: ignore[misc]
    """Has classes that travel by value keep their slots, which would become attributes: what comes
    back from a worker would not fit its class here."""

    def reducer_override(self, obj: Any) -> Any:
        if isinstance(obj, _DEFINED):
            _by_value_if_nowhere(obj)
        if isinstance(obj, BaseException) and not reduces_itself(type(obj)):
            return (rebuilt, *parts_of(obj), None, None, with_state)
        kind: Any = type(obj)
        tool = TOOLS.get(kind)
        if tool is not None:
            parts: Any = tool(obj, _travels_by_value)
            if parts is not None:
                return parts
        reduced: Any = super().reducer_override(obj)
        if isinstance(reduced, tuple) and reduced[0] is cloudpickle._make_function:
            return _of_function(obj, reduced)
        if isinstance(reduced, tuple) and reduced[0] is cloudpickle._make_skeleton_class:
            slots = vars(obj).get("__slots__")
            if slots is not None:
                arguments: list[Any] = list(reduced[1])
                arguments[3] = {**arguments[3], "__slots__": slots}
                return (reduced[0], tuple(arguments), *reduced[2:])
        return reduced


_DEFINED = (type, types.FunctionType)


def _by_value_if_nowhere(obj: Any) -> None:
    """Has the module of a class or a function travel by value if no worker could import it: one
    that was loaded by its path, as tests and plug-ins are, or that the program has made."""
    module: Any = sys.modules.get(str(getattr(obj, "__module__", None)))
    root = getattr(module, "__name__", "__main__").partition(".")[0]
    if root != "__main__" and _is_nowhere(root):
        cloudpickle.register_pickle_by_value(module)


@functools.cache
def _is_nowhere(root: str) -> bool:
    # In a worker these modules come from no file.
    own = globals().get("__file__")
    file = str(getattr(sys.modules.get(root), "__file__", None))
    is_beside = own is not None and file.startswith(os.path.dirname(os.path.abspath(own)))
    if is_beside or root == __name__.partition(".")[0]:
        return False  # A worker has it.
    for finder in sys.meta_path:
        try:
            if finder.find_spec(root, None) is not None:
                return False
        except Exception:
            return False  # What is odd may be odd there, too.
    return True


def _travels_by_value(obj: Any) -> bool:
    if isinstance(obj, types.ModuleType):
        is_program = obj.__name__ in ("__main__", "__mp_main__")
        return is_program or not cloudpickle._should_pickle_by_reference(obj)
    found = cloudpickle._lookup_module_and_qualname(obj)
    return found is None or cloudpickle._is_registered_pickle_by_value(found[0])


class _StagePickler(_Pickler):
    """Gives classes that travel by value ids that are the same in every run of a program, and notes
    the modules that the reader imports, in order."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.modules: dict[str, None] = {}
        self.codes: list[Any] = []

    def reducer_override(self, obj: Any) -> Any:
        if isinstance(obj, _DEFINED):
            _by_value_if_nowhere(obj)
        if isinstance(obj, type) and obj not in cloudpickle._DYNAMIC_CLASS_TRACKER_BY_CLASS:
            _track(obj)
        if isinstance(obj, _NAMED):
            self._note(obj)
        return super().reducer_override(obj)

    def _note(self, obj: Any) -> None:
        module: Any = None
        if isinstance(obj, types.ModuleType):
            module = obj.__name__ if cloudpickle._should_pickle_by_reference(obj) else None
        elif isinstance(obj, types.BuiltinFunctionType):
            module = obj.__module__  # None of a method, which goes with its object.
        else:
            found = cloudpickle._lookup_module_and_qualname(obj)
            if found is not None and cloudpickle._should_pickle_by_reference(obj):
                module = found[0].__name__
            elif isinstance(obj, types.FunctionType):
                self.codes.append(obj.__code__)
        if isinstance(module, str):
            self.modules.setdefault(module)


# Objects that a pickle may name instead of carrying them.
_NAMED = (type, types.FunctionType, types.BuiltinFunctionType, types.ModuleType)


def dumps(value: Any) -> bytes:
    """The value, with what of it no worker could import."""
    return _dumps(value, _Pickler)[0]


class _PartsPickler(_Pickler):
    """Sends of exceptions what can be sent and is no longer than a limit."""

    limit = 0

    def reducer_override(self, obj: Any) -> Any:
        if isinstance(obj, BaseException) and not reduces_itself(type(obj)):
            return (rebuilt, *limited_parts_of(obj, self.limit, dumps), None, None, with_state)
        return super().reducer_override(obj)


def dumps_exception(error: BaseException, most: int) -> Optional[bytes]:
    """An exception in no more than so many bytes. What cannot be sent is left out, and what is too
    long is cut off, as a note says. None if its class, or its author's way to pickle it, fails."""
    with contextlib.suppress(Exception):
        pickled = dumps(error)
        if len(pickled) <= most:
            return pickled
    for limit in (most // 8, most // 64, most // 512):
        kind = type("_Limited", (_PartsPickler,), {"limit": limit})
        with contextlib.suppress(Exception):
            pickled = _dumps(error, kind)[0]
            if len(pickled) <= most:
                return pickled
    return None


def _dumps(value: Any, kind: Any) -> "tuple[bytes, Any]":
    # What `__main__` is called in a process that `multiprocessing` spawned, and in no other.
    program = sys.modules.get("__mp_main__")
    if program is not None and program.__name__ not in cloudpickle.list_registry_pickle_by_value():
        cloudpickle.register_pickle_by_value(program)
    buffer = io.BytesIO()
    pickler = kind(buffer, protocol=_PROTOCOL)
    pickler.dump(value)
    return buffer.getvalue(), pickler


_counts: dict[tuple[str, str], int] = {}


def _track(kind: type) -> None:
    if cloudpickle._should_pickle_by_reference(kind):
        return
    name = (str(kind.__module__), kind.__qualname__)
    number = _counts[name] = _counts.get(name, 0) + 1
    text = "\0".join((*name, str(number)))
    identity = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]
    with cloudpickle._DYNAMIC_CLASS_TRACKER_LOCK:
        cloudpickle._DYNAMIC_CLASS_TRACKER_BY_CLASS[kind] = identity
        cloudpickle._DYNAMIC_CLASS_TRACKER_BY_ID[identity] = kind


def dumps_stage(stage: Any, *, with_module: bool) -> "tuple[bytes, list[str], list[Any]]":
    """A stage's instance, the modules that its reader imports, and the code that it brings along;
    with the module of its class, where workers cannot have that module."""
    module = sys.modules.get(type(stage).__module__)
    by_value = with_module and module is not None and is_own(module)
    if by_value:
        cloudpickle.register_pickle_by_value(module)
    try:
        pickled, pickler = _dumps(stage, _StagePickler)
        return pickled, list(pickler.modules), pickler.codes
    finally:
        if by_value:
            cloudpickle.unregister_pickle_by_value(module)


def unsendable(stage: Any) -> Optional[str]:
    """The name of what of a stage cannot be pickled: an attribute, of its class as well, or what
    its code refers to."""
    wrapped = getattr(stage, "__wrapped__", None)
    parts: dict[str, Any] = {}
    functions: list[Any] = [wrapped]
    if wrapped is None:
        parts = {f"self.{name}": value for name, value in getattr(stage, "__dict__", {}).items()}
        for kind in type(stage).__mro__:
            parts.update(_held_by(kind))
        functions = [value for kind in type(stage).__mro__ for value in vars(kind).values()]
    for function in filter(inspect.isfunction, functions):
        found = inspect.getclosurevars(function)
        for name, value in {**found.globals, **found.nonlocals}.items():
            kinds = value.__mro__ if isinstance(value, type) else type(value).__mro__
            for kind in kinds:
                parts.update(_held_by(kind))
            parts[name] = value
    for name, value in parts.items():
        try:
            dumps(value)
        except Exception:
            return name
    return None


def _held_by(kind: type) -> "dict[str, Any]":
    """What a class that travels by value has as attributes, but for its code."""
    if cloudpickle._should_pickle_by_reference(kind):
        return {}
    code = (types.FunctionType, classmethod, staticmethod, property)
    descriptors = (types.GetSetDescriptorType, types.MemberDescriptorType)
    return {
        f"{kind.__name__}.{name}": value
        for name, value in vars(kind).items()
        if not isinstance(value, (*code, *descriptors)) and name[:2] != "__"
    }


def is_own(module: Any) -> bool:
    """Whether a module is a file of the user's, and none of an installed package's."""
    from curator._folders import own_folders, package_folder

    file: str = getattr(module, "__file__", None) or ""
    if module.__name__.partition(".")[0] == "curator" or file.startswith(f"{package_folder()}/"):
        # Workers get this package's modules whole; a copy of a class would not be that class.
        return False
    return any(file.startswith(f"{folder}/") for folder in own_folders())
