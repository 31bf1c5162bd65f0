"""Environments for workers that Ray itself starts."""

import difflib
import shlex
import warnings
from collections.abc import Iterable
from typing import Any, Optional

from curator._environment import environment as _made

__all__ = ["environment"]

_INSTALLED = ("pip", "uv")
# These say how packages are installed, and stay Ray's, too.
_ALSO = ("env_vars", "config")
_FIELDS = (*_INSTALLED, *_ALSO, "working_dir", "py_modules", "py_executable", "conda", "excludes")


def environment(
    runtime_env: Optional[dict[str, Any]] = None,
    *,
    base: Optional[str] = None,
    **fields: Any,
) -> dict[str, Any]:
    """A `runtime_env` for Ray whose workers run in an environment of this cache.

        @ray.remote(runtime_env=curator.ray.environment(uv=["packaging==24.0"]))
        def version(): ...

    It is built now if need be, on this machine. Its workers look for it in the cache that
    `$CURATOR_CACHE_DIR` or `$XDG_CACHE_HOME` names in this process, else in that of their user; a
    node that has no such cache needs `curator env create` beforehand. What else a `runtime_env`
    says (`env_vars`, `working_dir`, ...) stays Ray's. `base` is the virtualenv that Ray runs in: by
    default, that of this process.
    """
    given = {**(runtime_env or {}), **fields}
    check(given)
    return built(given, base)


def built(given: dict[str, Any], base: Optional[str]) -> dict[str, Any]:
    """The `runtime_env` with a launcher in place of its packages, once their environment exists."""
    spec = {name: given.pop(name) for name in _INSTALLED if name in given}
    if not spec:
        return given
    if "py_executable" in given:
        raise ValueError("`py_executable` and packages cannot both be in a runtime_env")
    spec.update((name, given[name]) for name in _ALSO if name in given)
    made = _made(spec, base=base)
    if made.key is None:
        return given
    return {**given, "py_executable": shlex.join(made.command_by_key("python"))}


def check(names: Iterable[str]) -> None:
    """Refuses names that are nearly those of fields, and warns of others that Ray does not know.

    Ray passes over these with a line in a log. A plugin of Ray may have a field of its own.
    """
    for name in names:
        if name in _FIELDS:
            continue
        near = difflib.get_close_matches(name, _FIELDS, 1)
        if near:
            raise TypeError(f"`{name}` is no field of a runtime_env (did you mean `{near[0]}`?)")
        known = _fields_of_ray()
        if known and name not in known:
            text = (
                f"`{name}` is no field of a runtime_env: Ray ignores it, unless a plugin reads it"
            )
            warnings.warn(text, stacklevel=3)


def _fields_of_ray() -> frozenset[str]:
    """Returns the fields that this Ray knows; none where it is not installed."""
    try:
        from ray.runtime_env import RuntimeEnv
    except ImportError:
        return frozenset()
    return frozenset(RuntimeEnv.known_fields)
