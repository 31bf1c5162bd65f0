"""The parts of an exception of a stage, for the program that raises it again."""

import inspect
from typing import Any, Callable

__all__ = ["limited_parts_of", "parts_of", "rebuilt", "reduces_itself", "with_state"]


def reduces_itself(kind: type) -> bool:
    """Whether the author of an exception has said how it is pickled, in Python."""
    names = ("__reduce__", "__reduce_ex__", "__getnewargs__", "__getnewargs_ex__", "__getstate__")
    return any(inspect.isfunction(getattr(kind, name, None)) for name in names)


def rebuilt(kind: type[BaseException], arguments: tuple[Any, ...]) -> BaseException:
    """An exception without its own `__init__`, which may want other arguments than it passed on.

    Python would call that with what `args` has, and fail; attributes come back by themselves.
    """
    error = kind.__new__(kind, *arguments)
    for base in kind.__mro__:
        made = vars(base).get("__init__")
        if made is not None and not inspect.isfunction(made):
            made(error, *arguments)
            break
    return error


def with_state(error: BaseException, state: dict[str, Any]) -> None:
    """Gives an exception its attributes, also where its author has forbidden changes."""
    if any("__setstate__" in vars(kind) for kind in type(error).__mro__ if kind not in _PYTHONS):
        error.__setstate__(state)
        return
    for name, value in state.items():
        object.__setattr__(error, name, value)


_PYTHONS = (BaseException, object)


def parts_of(error: BaseException) -> tuple[Any, dict[str, Any]]:
    """What `rebuilt` takes, and the attributes: also those that its classes have slots for."""
    # What Python's own exceptions keep elsewhere is in there, too.
    reduced: Any = error.__reduce_ex__(2)
    _, arguments, *state = reduced
    slots = {
        name: getattr(error, name)
        for kind in type(error).__mro__
        if "__slots__" in vars(kind)
        for name, found in vars(kind).items()
        if inspect.ismemberdescriptor(found) and hasattr(error, name)
    }
    return (type(error), arguments), {**((state and state[0]) or {}), **slots}


def limited_parts_of(
    error: BaseException, limit: int, dumps: Callable[[Any], bytes]
) -> tuple[Any, dict[str, Any]]:
    """Returns the parts without what cannot be pickled or is longer than the limit; a note of the
    exception tells what that was."""
    (kind, arguments), attributes = parts_of(error)
    lost: list[str] = []

    def part(name: str, value: Any) -> Any:
        if isinstance(value, BaseException):
            return value  # Its own parts are looked at in turn.
        if isinstance(value, (str, bytes)):
            if len(value) > limit:
                lost.append(f"the end of {name}")
            return value[:limit]
        try:
            if len(dumps(value)) <= limit:
                return value
        except Exception:
            pass
        if type(value) in (list, tuple):
            return type(value)(part(f"{name}[{at}]", item) for at, item in enumerate(value))
        lost.append(name)
        return None

    arguments = tuple(part(f"args[{at}]", value) for at, value in enumerate(arguments))
    kept = {name: part(f"`{name}`", value) for name, value in attributes.items()}
    kept = {name: value for name, value in kept.items() if f"`{name}`" not in lost}
    if lost:
        names = ", ".join(lost[:20])
        note = f"the worker could not send {names}: not to be pickled, or too long"
        kept["__notes__"] = [*kept.get("__notes__", ()), note]
    return (kind, arguments), kept
