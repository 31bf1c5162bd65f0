"""Environments alone, for programs that run in them."""

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Optional, Union, cast

from curator._program import call, program

__all__ = ["Environment", "environment"]


class Environment:
    """An environment in the cache: its interpreter, its key, and commands that run in it."""

    def __init__(self, told: Mapping[str, Any], arguments: list[str], cache: list[str]) -> None:
        self.python: str = told["path"]
        self.key: Optional[str] = told.get("key")
        self._arguments = arguments
        self._cache = cache

    def command(self, *command: str) -> list[str]:
        """The command line of a command that runs in it, and keeps it while it does."""
        return [program(), "env", "exec", *self._cache, *self._arguments, "--", *command]

    def command_by_key(self, *command: str) -> list[str]:
        """The command line that finds it by its key alone, and never builds it."""
        if self.key is None:
            raise ValueError("a base environment has no key")
        return [program(), "env", "exec", *self._cache, "--spec", self.key, "--", *command]

    def run(self, *command: str, **options: Any) -> "subprocess.CompletedProcess[Any]":
        """Runs a command in it, as `subprocess.run` does with these options."""
        done: subprocess.CompletedProcess[Any] = subprocess.run(self.command(*command), **options)
        return done

    def __repr__(self) -> str:
        return f"Environment({self.python!r})"


def environment(
    runtime_env: Optional[Mapping[str, Any]] = None,
    *,
    uv: Union[None, str, Sequence[str]] = None,
    pip: Union[None, str, Sequence[str]] = None,
    base: Union[None, str, "os.PathLike[str]"] = None,
) -> Environment:
    """Finds or builds an environment over a base, by default this process's.

    env = environment(uv=["packaging==24.0"])
    env.run("python", "-c", "import packaging", check=True)
    """
    given: Any = {} if runtime_env is None else runtime_env
    if not isinstance(given, Mapping):
        raise TypeError(
            f"`runtime_env` is a table, as in {{'uv': ['packaging']}}, not {given!r}: for packages"
            " alone, `environment(uv=[...])`"
        )
    spec = dict(cast("Mapping[str, Any]", given))
    for name, packages in (("uv", uv), ("pip", pip)):
        if packages is not None:
            spec[name] = _packages(name, packages)
    base = sys.executable if base is None else os.fspath(base)
    # A command may run in another folder, where relative paths would be those of other files; a
    # name alone is looked for on `PATH`.
    base = os.path.abspath(base) if os.path.exists(base) else base
    arguments = ["--spec", _json(spec), "--spec-dir", os.getcwd(), "--base", base]
    cache = _cache()
    told = json.loads(call(["env", "create", *cache, *arguments, "--json"]))
    return Environment(told, arguments, cache)


def _cache() -> list[str]:
    """Names the cache of this process, for commands that may run without its variables.

    Where no variable names it, it is that of the user who runs the command, on each machine.
    """
    if named := os.environ.get("CURATOR_CACHE_DIR"):
        return ["--cache-dir", os.path.abspath(named)]
    # The XDG Base Directory Specification ignores relative paths.
    if os.path.isabs(folder := os.environ.get("XDG_CACHE_HOME", "")):
        return ["--cache-dir", os.path.join(folder, "curator")]
    return []


def _packages(name: str, given: Any) -> Any:
    """Packages as a spec has them: a file's name, a list, or a table with more about them."""
    if isinstance(given, (str, Mapping)):
        return given if isinstance(given, str) else dict(cast("Mapping[str, Any]", given))
    if isinstance(given, bytes) or not isinstance(given, Iterable):
        raise TypeError(
            f"`{name}` is a list of packages, as in ['packaging'], or the name of a requirements"
            f" file, not {given!r}"
        )
    return list(cast("Iterable[Any]", given))


def _json(spec: Mapping[str, Any]) -> str:
    for name, value in spec.items():
        try:
            json.dumps({name: value})
        except (TypeError, ValueError) as error:
            raise TypeError(f"`{name}` of the environment is {value!r}: {error}") from None
    return json.dumps(spec)
