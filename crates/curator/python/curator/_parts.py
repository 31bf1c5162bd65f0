"""Objects of Python's own tools that hold locks or weak references, and are made anew instead.

Each function gives what a pickler needs of an object, or None where the object is no such one.
"""

import contextvars
import functools
import sys
import types
from typing import Any, Callable

__all__ = ["TOOLS"]

# Whether an object is none that a worker could import.
Travels = Callable[[Any], bool]


def _of_cache(obj: Any, travels: Travels) -> Any:
    # It is pickled by its name else, whatever module it is in.
    return (cached, (obj.__wrapped__, obj.cache_parameters())) if travels(obj) else None


def cached(function: Any, parameters: "dict[str, Any]") -> Any:
    return functools.lru_cache(**parameters)(function)


def _of_property(obj: Any, travels: Travels) -> Any:
    return (named_property, (obj.func, obj.attrname))


def named_property(function: Any, name: Any) -> Any:
    made = functools.cached_property(function)
    # The class that it becomes an attribute of is there already, and does not tell.
    made.attrname = name
    return made


def _of_function(obj: Any, travels: Travels) -> Any:
    if obj.__code__ is not _DISPATCHES or not travels(obj):
        return None
    # The functions may refer to what they are registered with.
    registry: Any = obj.registry
    return (functools.singledispatch, (registry[object],), dict(registry), None, None, registered)


def registered(dispatching: Any, registry: "dict[Any, Any]") -> None:
    for kind, function in registry.items():
        if kind is not object:
            dispatching.register(kind, function)


def _of_variable(obj: "contextvars.ContextVar[Any]", travels: Travels) -> Any:
    # It does not know its module, and is to be one with that of a module that a worker imports.
    for module in list(sys.modules.values()):
        names = [name for name, value in _items_of(module) if value is obj]
        if names and not travels(module):
            return (getattr, (module, names[0]))
    context = contextvars.Context()
    try:
        default = [context.run(obj.get)]
    except LookupError:
        default = []
    try:
        value = [obj.get()]
    except LookupError:
        value = []
    return (variable, (obj.name, default, value))


def _items_of(module: Any) -> "list[tuple[str, Any]]":
    return list(getattr(module, "__dict__", {}).items())


def variable(name: str, default: "list[Any]", value: "list[Any]") -> Any:
    made: Any = contextvars.ContextVar(name, **({"default": default[0]} if default else {}))
    if value:
        made.set(value[0])
    return made


def _example(value: Any) -> None:
    """A function to dispatch: all that do share their code."""


_dispatching: Any = functools.singledispatch(_example)
_DISPATCHES = _dispatching.__code__

TOOLS: "dict[type, Callable[[Any, Travels], Any]]" = {
    type(functools.lru_cache(len)): _of_cache,
    functools.cached_property: _of_property,
    types.FunctionType: _of_function,
    contextvars.ContextVar: _of_variable,
}
