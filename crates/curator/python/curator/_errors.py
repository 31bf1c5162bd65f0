"""What can go wrong, as exceptions: each knows its stage, and what to do about it."""

from collections.abc import Mapping, Sequence
from typing import Any, Optional

__all__ = [
    "CuratorError",
    "EngineError",
    "NoEnvironmentError",
    "PipelineError",
    "StageError",
    "error_of",
]


class CuratorError(Exception):
    """Why a pipeline could not be run to its end.

    `hint` is what can be done about it, `stage` the stage that it is about, and `traceback` what a
    worker printed of an exception; each is None where there is nothing to say.
    """

    hint: Optional[str] = None
    stage: Optional[str] = None
    traceback: Optional[str] = None

    def __init__(
        self,
        message: str,
        *,
        hint: Optional[str] = None,
        stage: Optional[str] = None,
        traceback: Optional[str] = None,
    ) -> None:
        super().__init__(message)
        self.hint, self.stage, self.traceback = hint, stage, traceback

    def __str__(self) -> str:
        parts = [str(self.args[0])]
        if self.traceback:
            parts.append(self.traceback.strip())
        if self.hint:
            parts.append(f"hint: {self.hint}")
        return "\n\n".join(parts)

    def __reduce__(self) -> Any:
        return _rebuilt, (type(self), self.args, dict(self.__dict__))


def _rebuilt(kind: "type[CuratorError]", arguments: Any, state: Mapping[str, Any]) -> CuratorError:
    error = kind.__new__(kind, *arguments)
    error.__dict__.update(state)
    return error


class PipelineError(CuratorError, ValueError):
    """The pipeline, or a setting, is wrong; nothing was run."""


class NoEnvironmentError(CuratorError):
    """An environment could not be had."""


class StageError(CuratorError):
    """A stage's code failed, or its worker died. Where the code raised an exception that can be
    had, that is raised, and this is its `__cause__`."""

    tasks: list[str]
    log: list[str]

    def __init__(self, message: str, **rest: Any) -> None:
        super().__init__(message, **rest)
        self.tasks, self.log = [], []


class EngineError(CuratorError):
    """The program that runs pipelines is not there, ended, or said what it should not."""


def error_of(told: Mapping[str, Any], names: Sequence[str] = ()) -> BaseException:
    """The exception to raise for what the program tells of an error; the names are those of the
    pipeline's stages."""
    failed: dict[str, Any] = told.get("failed") or {}
    raised: Optional[dict[str, Any]] = told.get("raised")
    stages: list[str] = told.get("stages") or []
    kinds = {"usage": PipelineError, "environment": NoEnvironmentError}
    kind = StageError if failed or raised else kinds.get(told.get("kind", ""), CuratorError)
    traceback = (raised or {}).get("traceback") or told.get("detail")
    message = told["message"]
    # A stage that the program could not read is told by its place.
    index: Optional[int] = told.get("stage_index")
    if index is not None and index < len(names):
        stages = [names[index]]
        message = f"stage `{stages[0]}`: {message}"
    error: CuratorError = kind(
        message,
        hint=in_python(told.get("hint")),
        stage=stages[0] if stages else None,
        traceback=traceback,
    )
    if isinstance(error, StageError):
        error.tasks = list(failed.get("tasks", ()))
        error.log = list(failed.get("log", ()))
    own = exception_of(raised)
    if own is None:
        return error
    if not isinstance(own, Exception) or isinstance(own, (StopIteration, StopAsyncIteration)):
        # It would end this program, or a loop over the tasks, in place of telling what failed.
        error.__cause__ = own
        return error
    # Also where its author has forbidden changes.
    object.__setattr__(own, "__cause__", error)
    return own


# What a hint calls a thing on the command line or in Rust, and its name here.
_NAMES = {
    "`--checkpoint-accept-changes`, `Checkpoint::open_changed`": (
        "`Checkpoint(folder, accept_changes=True)`"
    ),
    "`devices = []` in the file's `[engine]`, `--set engine.devices=[]`,"
    " `LocalExecutor::with_devices`": "`LocalExecutor(devices=[])`",
    '`base = "path/to/python"`, `--base`': '`Pipeline(..., base="path/to/python")`',
    "the base (`--base`)": "the `base`",
    "`--locked`": "`locked`",
    "`RayEnv::Cached`": '`ray_env="cached"`',
}


def in_python(hint: Optional[str]) -> Optional[str]:
    """A hint with the names that things have in this package."""
    for name, own in _NAMES.items():
        hint = hint and hint.replace(name, own)
    return hint


def exception_of(raised: Optional[Mapping[str, Any]]) -> Optional[BaseException]:
    """The exception that a stage raised, if it came and can be read here."""
    text = (raised or {}).get("pickled")
    if not text:
        return None
    import base64

    from curator._pickle import loads

    try:
        error = loads(base64.b64decode(text))
    except Exception:
        # Its class may be of a package that only the stage has.
        return None
    return error if isinstance(error, BaseException) else None
