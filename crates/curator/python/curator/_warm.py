"""What stages have imported, kept between runs."""

import base64
import contextlib
import os
import pickletools
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from curator._executors import Executor, LocalExecutor
from curator._progress import in_notebook

if TYPE_CHECKING:
    from curator._pipeline import Pipeline

__all__ = ["keep", "warm"]

# Longer than a program runs, with which they end.
_ALWAYS = "52w"

# A larger instance holds data, and takes long to look through.
_MOST_BYTES = 1 << 20

# Pipelines that are kept warm, by how many blocks.
_warm: dict[int, int] = {}


@contextlib.contextmanager
def warm(pipeline: "Pipeline") -> "Iterator[Pipeline]":
    """Keeps what a pipeline's stages import between its runs on this machine.

    The first run in the block imports, and later ones start from there. What is kept ends with the
    block. What changes in between, code or packages, is loaded anew.
    """
    key = id(pipeline)
    _warm[key] = _warm.get(key, 0) + 1
    try:
        yield pipeline
    finally:
        _warm[key] -= 1
        if not _warm[key]:
            del _warm[key]
        if not _warm and not in_notebook():
            from curator._errors import CuratorError
            from curator._program import call

            # It ends with this process at the latest.
            with contextlib.suppress(CuratorError):
                call(["stop", "--owner", str(os.getpid())])


def keep(request: dict[str, Any], pipeline: "Pipeline", executor: Executor) -> None:
    """Has a run keep what its stages import as long as this process lives, where that is wanted."""
    is_wanted = id(pipeline) in _warm or in_notebook()
    if not is_wanted or not isinstance(executor, LocalExecutor) or executor.keep_warm is not None:
        return
    request["pipeline"]["engine"]["keep_warm"] = _ALWAYS
    request["owner"] = os.getpid()
    for entry in request["pipeline"]["stage"]:
        if "preload" not in entry and entry["args"].get("stage"):
            entry["preload"] = _packages_of(base64.b64decode(entry["args"]["stage"]))


def _packages_of(pickled: bytes) -> list[str]:
    """The modules of packages that an instance refers to: its worker imports them to load it."""
    if len(pickled) > _MOST_BYTES:
        return []
    texts = (text for _, text, _ in pickletools.genops(pickled) if isinstance(text, str))
    return list(dict.fromkeys(text for text in texts if _is_of_package(text)))


def _is_of_package(name: str) -> bool:
    spec = getattr(sys.modules.get(name), "__spec__", None)
    parts = (getattr(spec, "origin", None) or "").split(os.sep)
    is_installed = "site-packages" in parts or "dist-packages" in parts
    return is_installed and name.partition(".")[0] not in ("curator", "IPython", "ipykernel")
