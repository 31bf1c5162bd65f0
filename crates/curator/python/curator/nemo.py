"""NeMo Curator's pipelines as they are, on the executors of this package; and its own executors,
with environments from this package's cache.

    from curator.nemo import CuratorExecutor

    pipeline.run(CuratorExecutor())
"""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Optional, Union

from nemo_curator.backends.base import BaseExecutor
from nemo_curator.tasks import EmptyTask

from curator._errors import PipelineError
from curator._executors import (
    Checkpoint,
    Executor,
    LocalExecutor,
    RayActorPoolExecutor,
    RayDataExecutor,
    RunRecord,
    XennaExecutor,
)
from curator._nemo_worker import Carried, Fused, task_of, use_logger
from curator._pipeline import Pipeline
from curator._report import RunReport
from curator._shared import shared
from curator._stage import Task
from curator.ray import built, check

__all__ = ["CuratorExecutor", "bridged", "environments"]

_ENGINES: dict[str, type[Executor]] = {
    "local": LocalExecutor,
    "ray-data": RayDataExecutor,
    "ray-actor-pool": RayActorPoolExecutor,
    "xenna": XennaExecutor,
}

_FANS_OUT = "is_fanout_stage"


class CuratorExecutor(BaseExecutor):  # type: ignore[misc]
    """Runs the stages of a NeMo Curator pipeline with the environments that they declare.

    `engine` is `"local"` (this machine, without Ray: the default), `"ray-data"`, `"ray-actor-pool"`
    or `"xenna"`; `options` are the settings of that executor of this package, such as `cpus=4` or
    `address="auto"`. `runtime_env` is for stages that declare none, and `base` what environments
    stand on: by default, the environment of this process. `checkpoint`, `record` and `locked` are
    those of `curator.Pipeline.run`. Neighbours with one environment, one number of workers and
    equal resources share a worker process, unless `fuse=False`. `report` has the last run's report.
    """

    report: Optional[RunReport] = None

    def __init__(
        self,
        engine: str = "local",
        *,
        base: Union[None, str, "os.PathLike[str]", Mapping[str, Any]] = None,
        runtime_env: Optional[Mapping[str, Any]] = None,
        checkpoint: Union[None, str, "os.PathLike[str]", Checkpoint] = None,
        record: Union[None, str, "os.PathLike[str]", RunRecord] = None,
        locked: Union[None, str, "os.PathLike[str]", RunRecord] = None,
        fuse: bool = True,
        progress: Optional[bool] = None,
        logs: bool = True,
        **options: Any,
    ) -> None:
        super().__init__()
        kind = _ENGINES.get(engine)
        if kind is None:
            raise ValueError(f"there is no engine {engine!r}: there are {', '.join(_ENGINES)}")
        self._executor = kind(**options)
        self._base = base
        self._runtime_env = runtime_env
        self._fuse = fuse
        self._run: dict[str, Any] = {
            "checkpoint": checkpoint,
            "record": record,
            "locked": locked,
            "progress": progress,
            "logs": logs,
        }

    def execute(self, stages: list[Any], initial_tasks: Optional[list[Any]] = None) -> Any:
        """Runs the stages, and returns the tasks that the last one gives."""
        _refuse_checkpoint_path()
        pipeline = self.pipeline(stages)
        _refuse_base(self._base, stages)
        seeds = initial_tasks if initial_tasks else [EmptyTask()]
        report = pipeline.run([Task(Carried(seed)) for seed in seeds], self._executor, **self._run)
        self.report = report
        return [task_of(output) for output in report.outputs]

    def pipeline(self, stages: Sequence[Any]) -> Pipeline:
        """The stages as a pipeline of this package, to plan or to look at."""
        for stage in stages:
            _refuse(stage)
        use_logger()
        groups = [[stage] for stage in stages]
        # Neighbours fail together, and what fails alone is told and left out alone.
        if self._fuse and self._executor.failure_policy != "record":
            groups = _neighbours(stages)
        return Pipeline(
            [_stage_of(group) for group in groups],
            name="nemo_curator",
            base=self._base,
            runtime_env=self._runtime_env,
        )


def _refuse_checkpoint_path() -> None:
    """Refuses `checkpoint_path` of NeMo Curator's `run`: workers would tell an actor of Ray what is
    done, and these are not connected to one. Nothing but the caller knows of it."""
    frame = sys._getframe()
    while frame.f_back is not None:
        frame = frame.f_back
        if (
            frame.f_code.co_name == "_run_with_resumability"
            and frame.f_globals.get("__name__") == "nemo_curator.pipeline.pipeline"
        ):
            raise PipelineError(
                "`checkpoint_path` of a pipeline has no effect with this executor",
                hint="leave it out, and give `CuratorExecutor(checkpoint=folder)`",
            )


def _refuse(stage: Any) -> None:
    """What cannot be done is said before any task runs."""
    told = shared("curator_nemo").problem(stage)
    if told is not None:
        problem, hint = told
        raise PipelineError(problem, hint=hint, stage=stage.name)
    for conda in ("conda", "container", "image_uri"):
        if conda in (getattr(stage, "runtime_env", None) or {}):
            raise PipelineError(
                f"the runtime_env of the stage {stage.name!r} has `{conda}`: an environment adds"
                " packages to a base, by `pip` or `uv`",
                hint=f"name the packages under `pip` or `uv`, and take `{conda}` out",
                stage=stage.name,
            )


def _refuse_base(base: Any, stages: Sequence[Any]) -> None:
    """Refuses a base without NeMo Curator before workers start, unless stages bring it along."""
    if base is None or isinstance(base, Mapping):
        return
    python = str(os.fspath(base))
    if os.path.isdir(python):
        python = os.path.join(python, "bin", "python")
    question = "import importlib.util as it; print(it.find_spec('nemo_curator') is not None)"
    try:
        asked = subprocess.run([python, "-I", "-c", question], capture_output=True, text=True)
    except OSError:
        return  # The program says what is wrong with it.
    if "False" not in asked.stdout:
        return
    for stage in stages:
        if "nemo" not in repr(getattr(stage, "runtime_env", None)):
            raise PipelineError(
                f"the stage {stage.name!r} needs `nemo_curator`, and the base `{python}` has none",
                hint="install NeMo Curator there, or leave `base` out: it is this program's own",
                stage=stage.name,
            )


def _ray_spec(stage: Any) -> dict[str, Any]:
    return {str(getattr(key, "value", key)): value for key, value in stage.ray_stage_spec().items()}


def _neighbours(stages: Sequence[Any]) -> list[list[Any]]:
    """Stages that one worker can do one after the other, without any of them waiting for more."""
    groups: list[list[Any]] = []
    for stage in stages:
        before = groups[-1][-1] if groups else None
        if before is not None and _is_alike(before, stage):
            groups[-1].append(stage)
        else:
            groups.append([stage])
    return groups


def _is_alike(before: Any, stage: Any) -> bool:
    # What one stage gives many tasks for, many workers shall do.
    if getattr(before, "is_source_stage", False) or _ray_spec(before).get(_FANS_OUT):
        return False
    # A batch is what came together from all workers, not what one task gave.
    if stage.supports_batch_processing() and (stage.batch_size or 1) > 1:
        return False
    return bool(_shape(before) == _shape(stage))


def _shape(stage: Any) -> Any:
    resources = stage.resources
    return (
        getattr(stage, "runtime_env", None),
        (resources.cpus, resources.gpus),
        stage.num_workers(),
        stage.num_workers_per_node(),
        stage.xenna_stage_spec(),
        {key: value for key, value in _ray_spec(stage).items() if key != _FANS_OUT},
    )


def _stage_of(group: list[Any]) -> Any:
    """A stage of this package that runs some of NeMo Curator's."""
    first = group[0]
    settings: dict[str, Any] = {
        "name": " + ".join(stage.name for stage in group),
        "batch_size": first.batch_size or 1,
        "resources": {"cpus": first.resources.cpus, "gpus": first.resources.gpus},
    }
    runtime_env = getattr(first, "runtime_env", None)
    if runtime_env is not None:
        settings["runtime_env"] = runtime_env
    for name in ("num_workers", "num_workers_per_node"):
        value = getattr(first, name)()
        if value:  # None, or 0, which NeMo Curator takes for none.
            settings[name] = value
    spec = {key: value for key, value in _ray_spec(first).items() if key not in _OURS}
    if spec:
        settings["ray_stage_spec"] = spec
    if first.xenna_stage_spec():
        settings["xenna_stage_spec"] = first.xenna_stage_spec()
    fused = Fused(group)
    fused._curator_with = settings  # type: ignore[attr-defined]
    return fused


# Each stage is an actor or a process that stays, and any number of tasks comes of one.
_OURS = frozenset(("is_actor_stage", _FANS_OUT))


@contextlib.contextmanager
def environments(base: Optional[str] = None) -> Iterator[None]:
    """Within it, NeMo Curator's own executors run stages in environments from this package's cache:
    what a stage declares under `pip` or `uv` is built before the run, and kept.

        with curator.nemo.environments():
            pipeline.run(RayDataExecutor())
    """
    from nemo_curator.pipeline import Pipeline as NemoPipeline

    pipelines: Any = NemoPipeline
    run = pipelines.run

    def bridging(self: Any, executor: Any = None, *arguments: Any, **named: Any) -> Any:
        if executor is None:
            from nemo_curator.backends.xenna import XennaExecutor as Default

            executor = Default()
        if isinstance(executor, CuratorExecutor):
            return run(self, executor, *arguments, **named)
        execute = executor.execute
        own: Optional[Any] = vars(executor).get("execute")

        def executed(stages: list[Any], *rest: Any, **others: Any) -> Any:
            return execute(_bridge(stages, base), *rest, **others)

        executor.execute = executed
        try:
            return run(self, executor, *arguments, **named)
        finally:
            if own is None:
                del executor.execute
            else:
                executor.execute = own

    pipelines.run = bridging
    try:
        yield
    finally:
        pipelines.run = run


def bridged(executor: type[Any], base: Optional[str] = None) -> type[Any]:
    """One of NeMo Curator's executors whose stages run in environments from this package's cache.

    pipeline.run(bridged(RayDataExecutor)())
    """

    def execute(self: Any, stages: list[Any], *rest: Any, **others: Any) -> Any:
        return executor.execute(self, _bridge(stages, base), *rest, **others)

    kind = type(f"Bridged{executor.__name__}", (executor,), {"execute": execute})
    return kind


def _bridge(stages: Sequence[Any], base: Optional[str]) -> list[Any]:
    """The stages with environments of this cache, which are built at the same time."""
    bridged_stages = list(stages)
    declared: dict[int, dict[str, Any]] = {}
    for place, stage in enumerate(stages):
        given = getattr(stage, "runtime_env", None)
        if given and ("pip" in given or "uv" in given):
            check(given)
            declared[place] = dict(given)
    with ThreadPoolExecutor(os.cpu_count(), "curator-environments") as threads:
        waiting = [threads.submit(built, given, base) for given in declared.values()]
    for place, one in zip(declared, waiting):
        bridged_stages[place] = stages[place].with_(runtime_env=one.result())
    return bridged_stages
