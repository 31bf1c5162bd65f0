"""Tests of stages in the process at hand: no program, no worker, no environment."""

import copy
import inspect
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Optional

from curator._data import tasks_of
from curator._report import RunReport, sort_key
from curator._shared import shared
from curator._stage import Aggregate, Context, Task, as_instance, name_of, settings_of

if TYPE_CHECKING:
    from curator._pipeline import Pipeline

__all__ = ["run_stage"]


def run_stage(stage: Any, items: Iterable[Any]) -> list[Task]:
    """What a stage makes of some items (tasks, or the data of them), with all of its hooks.

    assert run_stage(Clean(), [{"text": " a "}])[0].data == {"text": "a"}
    """
    tasks = [_as_task(item, index) for index, item in enumerate(tasks_of(items))]
    instance = as_instance(stage)
    size = settings_of(instance).get("batch_size") or 1
    return _run(instance, tasks, int(size))


def run_here(pipeline: "Pipeline", items: Optional[Iterable[Any]]) -> RunReport:
    """A whole pipeline in this process, one stage after the other."""
    from curator._errors import PipelineError

    begin = time.monotonic()
    settings = [settings_of(stage) for stage in pipeline.stages]
    for stage, chosen in zip(pipeline.stages, settings):
        if chosen.get("runtime_env", pipeline.runtime_env):
            raise PipelineError(
                f"stage {name_of(stage)!r} has an environment of its own, and `debug=True` runs in"
                " this process",
                hint='leave it out for the while: `pipeline.with_({"name": {"runtime_env": {}}})`',
                stage=name_of(stage),
            )
    tasks = [_as_task(item, index) for index, item in enumerate(tasks_of(items))]
    reports: list[dict[str, Any]] = []
    for stage, chosen in zip(pipeline.stages, settings):
        began = time.monotonic()
        outputs = _run(stage, tasks, int(chosen.get("batch_size") or 1))
        reports.append(
            {
                "name": name_of(stage),
                "tasks": len(tasks),
                "outputs": len(outputs),
                "failed": 0,
                "batches": len(tasks),
                "workers": 1,
                "forked": 0,
                "process_seconds": time.monotonic() - began,
                "transfer_seconds": 0.0,
            }
        )
        tasks = outputs
    told = {
        "pipeline": pipeline.name,
        "executor": "debug",
        "failed": [],
        "stages": reports,
        "environments": [],
        "is_stopped": False,
        "wall_seconds": time.monotonic() - begin,
    }
    return RunReport(told, sorted(tasks, key=sort_key))


def _as_task(item: Any, index: int) -> Task:
    if not isinstance(item, Task):
        return Task(item, {}, "", f"0_{index}")
    item.id = f"0_{index}"
    return item


def _run(stage: Any, tasks: list[Task], batch_size: int) -> list[Task]:
    context = Context(name_of(stage), 0, "here", None)
    stage = shared("curator_nemo").as_stage(stage)
    _hook(stage, "setup_on_node", context)
    _hook(stage, "setup", context)
    outputs: list[Task] = []
    try:
        if callable(getattr(stage, "process_batch", None)):
            for at in range(0, len(tasks), batch_size):
                outputs += _batch(stage, tasks[at : at + batch_size])
        else:
            for task in tasks:
                parent = (task.id, task.metadata, task.dataset_name)
                outputs += _children(_settled(stage.process(task)), *parent)
    finally:
        _hook(stage, "teardown", context)
    return outputs


def _batch(stage: Any, tasks: list[Task]) -> list[Task]:
    parents = [(task.id, task.metadata, task.dataset_name) for task in tasks]
    entries = _settled(stage.process_batch(tasks))
    if isinstance(entries, Aggregate):
        # The id of an aggregate is the engine's to give.
        return _children(list(entries.outputs), f"r{parents[0][0]}", {}, parents[0][2])
    if not isinstance(entries, (list, tuple)):
        kind = type(entries).__name__
        raise TypeError(f"process_batch must return a list or an Aggregate, not {kind}")
    if len(entries) != len(tasks):
        raise ValueError(
            f"process_batch got {len(tasks)} tasks and returned {len(entries)} entries: return one"
            " entry per task (None drops it), or an Aggregate"
        )
    outputs: list[Task] = []
    for entry, parent in zip(entries, parents):
        outputs += _children(_settled(entry), *parent)
    return outputs


def _children(output: Any, identity: str, metadata: dict[str, Any], dataset: str) -> list[Task]:
    outputs = output if isinstance(output, list) else [output]
    children: list[Task] = []
    for data in outputs:
        if data is None:
            continue
        data = _sent(data)
        task = data if isinstance(data, Task) else Task(data, dict(metadata), dataset)
        task.id = f"{identity}_{len(children)}"
        task.dataset_name = task.dataset_name or dataset
        children.append(task)
    return children


def _sent(output: Any) -> Any:
    """An output as it is now: a worker sends it before the stage goes on."""
    try:
        return copy.deepcopy(output)
    except Exception:
        # It cannot be copied, and is what it is.
        return output


def _hook(stage: Any, name: str, context: Context) -> None:
    hook = getattr(stage, name, None)
    if hook is not None:
        takes = bool(inspect.signature(hook).parameters)
        _settled(hook(context) if takes else hook())


def _settled(value: Any) -> Any:
    """What becomes of a coroutine, or a list of what a generator of either kind yields."""
    if inspect.isgenerator(value):
        return [_sent(item) for item in value]
    if inspect.iscoroutine(value):
        import asyncio

        return _settled(asyncio.run(value))
    if inspect.isasyncgen(value):
        import asyncio

        async def gather() -> list[Any]:
            return [_sent(item) async for item in value]

        return asyncio.run(gather())
    return value
