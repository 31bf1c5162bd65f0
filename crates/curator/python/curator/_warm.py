"""What stages have imported, kept between runs."""

import contextlib
import os
from collections.abc import Generator
from typing import Any

from curator._errors import CuratorError
from curator._keep import is_any_kept, release, retain
from curator._pipeline import Pipeline
from curator._program import call

__all__ = ["warm"]


@contextlib.contextmanager
def warm(pipeline: Pipeline) -> Generator[Pipeline, None, None]:
    """Keeps what a pipeline's stages import between its runs on this machine.

    The first run in the block imports, and later ones start from there. What is kept ends with the
    block. What changes in between, code or packages, is loaded anew.
    """
    given: Any = pipeline
    if not isinstance(given, Pipeline):
        raise TypeError(f"{pipeline!r} is no Pipeline, whose imports could be kept")
    retain(pipeline)
    try:
        yield pipeline
    finally:
        release(pipeline)
        if not is_any_kept():
            # It ends with this process at the latest.
            with contextlib.suppress(CuratorError):
                call(["stop", "--owner", str(os.getpid())])
