"""Which runs keep what their stages import, and for how long."""

import os
from typing import Any

from curator._executors import Executor, LocalExecutor
from curator._progress import in_notebook

__all__ = ["add_keep", "is_any_kept", "release", "retain"]

# Longer than a program runs, with which they end.
_ALWAYS = "52w"

# Pipelines that are kept warm, by their identity: by how many blocks.
_blocks: dict[int, int] = {}


def retain(pipeline: Any) -> None:
    """Has a pipeline's runs keep what its stages import, until `release` is called as often."""
    _blocks[id(pipeline)] = _blocks.get(id(pipeline), 0) + 1


def release(pipeline: Any) -> None:
    """Takes one `retain` back."""
    _blocks[id(pipeline)] -= 1
    if not _blocks[id(pipeline)]:
        del _blocks[id(pipeline)]


def is_any_kept() -> bool:
    """Returns whether runs of this process keep anything: of a pipeline, or all in a notebook."""
    return bool(_blocks) or in_notebook()


def add_keep(request: dict[str, Any], pipeline: Any, executor: Executor) -> None:
    """Has a run keep what its stages import as long as this process lives, where that is wanted."""
    is_wanted = id(pipeline) in _blocks or in_notebook()
    if not is_wanted or not isinstance(executor, LocalExecutor) or executor.keep_warm is not None:
        return
    request["pipeline"]["engine"]["keep_warm"] = _ALWAYS
    request["owner"] = os.getpid()
