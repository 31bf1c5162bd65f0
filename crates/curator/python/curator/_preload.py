"""Modules of installed packages that stages need, which are imported before workers are forked.

A worker reads its stage from a pickle, which names modules. None of the user's own is imported
before a fork, and after the first of these the order of imports may have a meaning: what it does
(`os.environ[...] = ...`) may come before the import of another.
"""

import json
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from curator._shared import shared

__all__ = ["add_preloads"]

# They are in every worker.
_OURS = ("__main__", "__mp_main__", "builtins", "copyreg", "curator")


def add_preloads(
    stages: Sequence[Any], entries: Sequence[tuple[dict[str, Any], list[str]]]
) -> None:
    """Gives entries their `preload`. Stages of one environment get the same list, so that their
    workers come from one process. A stage with modules of the user's own gets a list of its own."""
    together: dict[str, dict[str, None]] = {}
    waiting: list[tuple[dict[str, Any], str]] = []
    for stage, (entry, names) in zip(stages, entries):
        if isinstance(entry.get("preload"), bool):
            continue
        given: list[str] = entry.get("preload") or []
        modules, is_whole = _installed(names)
        if is_whole:
            modules += _at_work(stage)
        modules = [*given, *modules]
        if not is_whole or _are_refused(modules):
            _set(entry, given if _are_refused(modules) else modules)
            continue
        environment = json.dumps([entry.get(key) for key in ("runtime_env", "isolation")])
        together.setdefault(environment, {}).update(dict.fromkeys(modules))
        waiting.append((entry, environment))
    for entry, environment in waiting:
        _set(entry, together[environment])


def _set(entry: dict[str, Any], modules: Iterable[str]) -> None:
    preload = list(dict.fromkeys(modules))
    if preload:
        entry["preload"] = preload


def _at_work(stage: Any) -> list[str]:
    """Modules that a stage imports only once it works."""
    is_nemo = shared("curator_nemo").is_stage(stage)
    return ["nemo_curator.backends.base"] if is_nemo else list(getattr(stage, "_curator_needs", ()))


def _installed(names: Iterable[str]) -> tuple[list[str], bool]:
    """The modules of installed packages, and whether these are all: what comes after the first
    module of the user's own is left out."""
    imports = shared("curator_imports")
    modules: list[str] = []
    for name in names:
        root = name.partition(".")[0]
        if root in _OURS or _is_standard(name):
            continue
        module = sys.modules.get(name)
        file = getattr(module, "__file__", None)
        if isinstance(file, str) and not imports.is_installed(root):
            found: list[Any] = imports.leading_imports(file)[0] if file.endswith(".py") else []
            return modules + [one for one, _ in found if not _is_standard(one)], False
        if module is not None and all(part.isidentifier() for part in name.split(".")):
            modules.append(name)
    return modules, True


def _is_standard(name: str) -> bool:
    standard: Any = getattr(sys, "stdlib_module_names", ())
    return name.partition(".")[0] in standard


def _are_refused(modules: Iterable[str]) -> bool:
    """Returns whether one of the modules rules out a fork."""
    offenders = shared("curator_imports").OFFENDERS
    return any(name.partition(".")[0] in offenders for name in modules)
