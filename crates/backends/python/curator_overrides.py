"""Lays the settings that hold over those that the code of a stage declares, for the code to see.

A worker does so before the first hook, with what the stage's entry in the pipeline says. The
package `curator` does so in `with_`.
"""

import inspect

from curator_declared import form

__all__ = ["lay_over"]


def lay_over(stage, overrides, original=None):
    """Sets the attributes of a stage's object to these settings, where it has or declares them.

    A method of a setting's name stays, and so does what has another meaning or cannot be set: the
    setting holds for the run all the same. An `original`, which the object is a copy of, stays as
    it is, also where both share what a property writes to.
    """
    for name, value in overrides.items():
        try:
            if _has(stage, name):
                _set(stage, name, value, original)
        except (Exception, SystemExit):
            # Code of the stage's: a property that fails, or an object that forbids changes.
            continue


def _has(stage, name):
    try:
        found = getattr(stage, name)
    except AttributeError:
        return _announces(type(stage), name)
    if callable(found) and not isinstance(found, type):
        return False
    # It may be data of the stage's own.
    if name in ("inputs", "outputs") and isinstance(found, str):
        return False
    return form(name, found) is not None or found is None or name != "preload"


def _announces(kind, name):
    """Whether a class says that its objects have an attribute: by an annotation or a slot, or since
    it is a `curator.Stage`."""
    if name in getattr(kind, "_curator_settings", ()):
        return True
    return any(
        name in vars(base) or name in (getattr(base, "__annotations__", None) or ())
        for base in kind.__mro__
    )


def _set(stage, name, value, original):
    before = getattr(stage, name, None)
    static = inspect.getattr_static(type(stage), name, None)
    is_computed = hasattr(type(static), "__set__") and not inspect.ismemberdescriptor(static)
    if is_computed and original is not None:
        theirs = getattr(original, name)
        setattr(stage, name, value)
        if getattr(original, name) != theirs:
            setattr(original, name, theirs)
        return
    # Also where the author has forbidden changes, or passes them on to an object that others share.
    object.__setattr__(stage, name, _shaped(before, value))


def _shaped(before, value):
    """The value in the form that the code has had it in."""
    if isinstance(value, dict) and before is not None and not isinstance(before, dict):
        try:
            return type(before)(**value)
        except Exception:
            return value
    if isinstance(before, dict) and not isinstance(value, dict) and value is not None:
        return form("resources", value)["value"] if hasattr(value, "cpus") else value
    if isinstance(value, list) and isinstance(before, (tuple, set, frozenset)):
        return type(before)(value)
    return value
