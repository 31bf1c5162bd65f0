"""A digest of a stage that is the same in every run of a program: checkpoints know it by that.

A pickle is not: sets come in the order of their hashes, which differ, and with them the places of
what refers back to them.
"""

import hashlib
import pickletools
import sys
from collections.abc import Iterable, Iterator
from typing import Any

from curator._sources import Sources

__all__ = ["digest"]

_MEMOIZE = frozenset(("MEMOIZE", "PUT", "BINPUT", "LONG_BINPUT"))
_RECALL = frozenset(("GET", "BINGET", "LONG_BINGET"))
_TEXTS = frozenset(("SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8"))
# What takes all from the last mark on.
_TAKES = frozenset(("TUPLE", "LIST", "DICT", "APPENDS", "SETITEMS", "OBJ", "INST", "POP_MARK"))
_UNORDERED = frozenset(("FROZENSET", "ADDITEMS"))


def digest(pickled: bytes, sources: Sources) -> str:
    """The digest of a stage, and of the user's own modules that its code leads to."""
    steps = _steps(pickled)
    total = hashlib.sha256(repr((sys.version_info[:2], steps)).encode("utf-8", "backslashreplace"))
    # A lazy import names a module that this process may never have seen.
    texts = {text for text in _texts(steps) if text.replace(".", "").isidentifier()}
    words = {word for text in texts for word in text.split(".")}
    for name, found in sources.named_by(words, _files_of(texts, sources.folders)):
        total.update(f"\0{name}\0{found}".encode())
    return total.hexdigest()


def _steps(pickled: bytes) -> list[Any]:
    """What a pickle does, with sets in an order of their own, and texts for references to them."""
    groups: list[list[Any]] = [[]]
    memo: list[Any] = []
    for code, argument, _ in pickletools.genops(pickled):
        name = code.name
        if name in _MEMOIZE:
            last = groups[-1][-1] if groups[-1] else None
            is_text = isinstance(last, tuple) and last[0] == "TEXT"
            memo.append(last if is_text else ("MEMO", len(memo)))
        elif name in _RECALL:
            assert isinstance(argument, int)
            groups[-1].append(memo[argument])
        elif name in _TEXTS:
            # A notebook's cell is in a file of another name in every kernel.
            is_cell = "/ipykernel_" in str(argument) and str(argument).endswith(".py")
            groups[-1].append(("TEXT", "<cell>" if is_cell else argument))
        elif name == "MARK":
            groups.append([])
        elif name in _UNORDERED and len(groups) > 1:
            items = sorted(groups.pop(), key=repr)
            groups[-1].append((name, items))
        elif name in _TAKES and len(groups) > 1:
            items = groups.pop()
            groups[-1].append((name, items))
        elif name != "FRAME":
            groups[-1].append((name, argument))
    return groups


def _texts(steps: Any) -> set[str]:
    """All texts in a pickle: among them the names of modules, and those that code refers to."""
    found: set[str] = set()
    left: list[Any] = [steps]
    while left:
        item = left.pop()
        if isinstance(item, tuple) and len(item) == 2 and item[0] == "TEXT":
            found.add(item[1])
        elif isinstance(item, (list, tuple)):
            left.extend(item)
    return found


def _files_of(texts: Iterable[str], folders: Iterable[str]) -> Iterator[str]:
    """The files of the modules that are named, wherever in the user's own folders they lie."""
    begins = tuple(f"{folder}/" for folder in folders)
    for name in texts:
        file = getattr(sys.modules.get(name), "__file__", None) or ""
        is_ours = name.partition(".")[0] == "curator"
        if name != "__main__" and file.startswith(begins) and not is_ours:
            yield file
