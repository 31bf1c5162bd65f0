"""Data pipelines in which every stage may bring its own Python packages.

    from curator import Pipeline, stage

    @stage(runtime_env={"uv": ["packaging==24.0"]})
    def version(task):
        import packaging
        return {"version": packaging.__version__}

    report = Pipeline([version]).run([{"n": 1}])
    print(report.data)

Everything heavy is imported when it is first used: a worker needs only what stages are made of.
"""

from typing import TYPE_CHECKING, Any

from curator._stage import Aggregate, CompositeStage, Context, Resources, Stage, Task, stage

if TYPE_CHECKING:
    from curator._environment import Environment, environment
    from curator._errors import (
        CuratorError,
        EngineError,
        NoEnvironmentError,
        PipelineError,
        StageError,
    )
    from curator._executors import (
        Checkpoint,
        LocalExecutor,
        RayActorPoolExecutor,
        RayDataExecutor,
        RunRecord,
        XennaExecutor,
    )
    from curator._pipeline import Pipeline
    from curator._report import FailedTask, Plan, RunReport
    from curator._stream import Stream
    from curator._table import ArrowStream
    from curator._warm import warm

__version__ = "0.1.0"

__all__ = [
    "Aggregate",
    "ArrowStream",
    "Checkpoint",
    "CompositeStage",
    "Context",
    "CuratorError",
    "EngineError",
    "Environment",
    "FailedTask",
    "LocalExecutor",
    "NoEnvironmentError",
    "Pipeline",
    "PipelineError",
    "Plan",
    "RayActorPoolExecutor",
    "RayDataExecutor",
    "Resources",
    "RunRecord",
    "RunReport",
    "Stage",
    "StageError",
    "Stream",
    "Task",
    "XennaExecutor",
    "environment",
    "stage",
    "warm",
]

_HOMES = {
    "_environment": ("Environment", "environment"),
    "_errors": ("CuratorError", "EngineError", "NoEnvironmentError", "PipelineError", "StageError"),
    "_executors": (
        "Checkpoint",
        "LocalExecutor",
        "RayActorPoolExecutor",
        "RayDataExecutor",
        "RunRecord",
        "XennaExecutor",
    ),
    "_pipeline": ("Pipeline",),
    "_report": ("FailedTask", "Plan", "RunReport"),
    "_stream": ("Stream",),
    "_table": ("ArrowStream",),
    "_warm": ("warm",),
}


def __getattr__(name: str) -> Any:
    import importlib

    for module, names in _HOMES.items():
        if name in names:
            return getattr(importlib.import_module(f"curator.{module}"), name)
    raise AttributeError(f"module 'curator' has no attribute {name!r}")


def __dir__() -> "list[str]":
    return sorted({*globals(), *__all__})
