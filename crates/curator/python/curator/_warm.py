"""What stages have imported, kept between runs."""

import contextlib
import os
from collections.abc import Generator
from typing import TYPE_CHECKING, Any

from curator._executors import Executor, LocalExecutor
from curator._progress import in_notebook

if TYPE_CHECKING:
    from curator._pipeline import Pipeline

__all__ = ["keep", "warm"]

# Longer than a program runs, with which they end.
_ALWAYS = "52w"

# Pipelines that are kept warm, by how many blocks.
_warm: dict[int, int] = {}


@contextlib.contextmanager
def warm(pipeline: "Pipeline") -> "Generator[Pipeline, None, None]":
    """Keeps what a pipeline's stages import between its runs on this machine.

    The first run in the block imports, and later ones start from there. What is kept ends with the
    block. What changes in between, code or packages, is loaded anew.
    """
    from curator._pipeline import Pipeline

    given: Any = pipeline
    if not isinstance(given, Pipeline):
        raise TypeError(f"{pipeline!r} is no Pipeline, whose imports could be kept")
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
