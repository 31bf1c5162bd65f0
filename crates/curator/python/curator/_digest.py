"""A digest of a stage that is the same in every run of a program: checkpoints know it by that.

A pickle is not: sets come in the order of their hashes, which differ, and with them the places of
what refers back to them.
"""

import hashlib
import pickletools
import sys
from typing import Any

__all__ = ["digest"]

_MEMOIZE = frozenset(("MEMOIZE", "PUT", "BINPUT", "LONG_BINPUT"))
_RECALL = frozenset(("GET", "BINGET", "LONG_BINGET"))
_TEXTS = frozenset(("SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8"))
# What takes all from the last mark on.
_TAKES = frozenset(("TUPLE", "LIST", "DICT", "APPENDS", "SETITEMS", "OBJ", "INST", "POP_MARK"))
_UNORDERED = frozenset(("FROZENSET", "ADDITEMS"))


def digest(pickled: bytes) -> str:
    """The digest of a stage, and of the user's own modules that it names."""
    steps = _steps(pickled)
    total = hashlib.sha256(repr((sys.version_info[:2], steps)).encode("utf-8", "backslashreplace"))
    for name, found in sorted(_modules(steps)):
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


def _modules(steps: Any) -> set[tuple[str, str]]:
    """The modules of the user's own that are named anywhere, with what their files hold."""
    from curator._folders import own_folders

    folders = tuple(f"{folder}/" for folder in own_folders())
    found: set[tuple[str, str]] = set()
    left: list[Any] = [steps]
    while left:
        item = left.pop()
        if isinstance(item, tuple) and len(item) == 2 and item[0] == "TEXT":
            module = sys.modules.get(item[1])
            file = getattr(module, "__file__", None) or ""
            if item[1] != "__main__" and file.startswith(folders) and not _is_ours(item[1]):
                with open(file, "rb") as source:
                    found.add((item[1], hashlib.sha256(source.read()).hexdigest()))
        elif isinstance(item, (list, tuple)):
            left.extend(item)
    return found


def _is_ours(name: str) -> bool:
    return name == "curator" or name.startswith("curator.")
