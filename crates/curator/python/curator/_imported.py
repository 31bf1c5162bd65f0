"""The user's own modules that a stage's code imports, also those that it imports late.

A worker has the folders of the user's own last, after what is installed, and a program has them
first: a module of theirs that shares its name with one of an environment must not be taken for it.
"""

import dis
import functools
import importlib.machinery
import os
import re
import sys
from collections.abc import Iterable, Iterator
from typing import Any, Optional

from curator._pickle import is_own

__all__ = ["file_of", "own_roots", "roots_of"]

_IMPORTED = re.compile(rb"^[ \t]*(?:from|import)[ \t]+(\w+)", re.MULTILINE)


def roots_of(modules: Iterable[str], codes: Iterable[Any]) -> list[str]:
    """The names at the top of the modules that a stage imports: those that its pickle names, those
    that its functions import, and those that the user's own modules among them import in turn."""
    found: set[str] = set()
    waiting = {name.partition(".")[0] for name in modules}
    for code in codes:
        waiting.update(_imported_by(code))
    while waiting:
        root = waiting.pop()
        found.add(root)
        if root not in ("curator", "__main__", "__mp_main__") and is_own_root(root):
            waiting |= {name for file in _files_of(root) for name in _named_in(file)} - found
    return sorted(found)


def own_roots(roots: Iterable[str]) -> list[str]:
    """The user's own among these."""
    return [root for root in roots if is_own_root(root)]


def is_own_root(root: str) -> bool:
    module: Any = sys.modules.get(root)
    if module is None:
        file = file_of(root)
        module = file and _Found(root, file)
    return module is not None and is_own(module)


class _Found:
    """A module that this program would import."""

    def __init__(self, name: str, file: str) -> None:
        self.__name__, self.__file__ = name, file


def file_of(root: str) -> Optional[str]:
    """The file of a module here, whether it is imported yet or not."""
    if root in sys.modules:
        return getattr(sys.modules[root], "__file__", None)
    if root in sys.builtin_module_names:
        return None
    try:
        spec = importlib.machinery.PathFinder.find_spec(root)
    except Exception:
        return None
    return spec.origin if spec is not None else None


def _imported_by(code: Any) -> Iterator[str]:
    """The modules that a function imports while it runs, but for those of its own package."""
    steps = [step for step in dis.get_instructions(code) if step.opname != "EXTENDED_ARG"]
    for place, step in enumerate(steps):
        if step.opname == "IMPORT_NAME" and steps[place - 2].argval == 0:
            yield str(step.argval).partition(".")[0]
    for inner in code.co_consts:
        if hasattr(inner, "co_consts"):
            yield from _imported_by(inner)


def _files_of(root: str) -> list[str]:
    """The files of a module, or of those of a package that are imported."""
    names = [name for name in list(sys.modules) if name == root or name.startswith(f"{root}.")]
    files = [getattr(sys.modules[name], "__file__", None) for name in names if name in sys.modules]
    return [file for file in (*files, file_of(root)) if isinstance(file, str)]


def _named_in(file: str) -> "frozenset[str]":
    try:
        return _read(file, os.stat(file).st_mtime_ns)
    except OSError:
        return frozenset()


@functools.cache
def _read(file: str, changed: int) -> "frozenset[str]":
    if not file.endswith(".py"):
        return frozenset()
    with open(file, "rb") as source:
        return frozenset(name.decode() for name in _IMPORTED.findall(source.read()))
