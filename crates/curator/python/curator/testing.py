"""Tests of stages in the process at hand: no program, no worker, no environment."""

import copy
import inspect
import time
from collections.abc import Generator, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Callable, Optional, cast

from curator._data import tasks_of
from curator._report import RunReport, sort_key
from curator._shared import shared
from curator._stage import Aggregate, Context, Task, as_instance, name_of, names_of, settings_of

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
    return _Here(instance).run(tasks, int(size))


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
    for stage, name, chosen in zip(pipeline.stages, names_of(pipeline.stages), settings):
        began = time.monotonic()
        # The pipeline's own stage stays as it is, for the next run.
        outputs = _Here(_sent(stage)).run(tasks, int(chosen.get("batch_size") or 1))
        reports.append(
            {
                "name": name,
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
    # A worker has a copy, too: what the stage does to it is not done to the caller's.
    item = _sent(item)
    if not isinstance(item, Task):
        return Task(item, {}, "", f"0_{index}")
    item.id = f"0_{index}"
    return item


class _Here:
    """A stage that works in this process."""

    def __init__(self, stage: Any) -> None:
        self._context = Context(name_of(stage), 0, "here", None)
        self._stage = shared("curator_nemo").as_stage(stage)
        # Made for the first coroutine, and kept to the end, as in a worker: a client that `setup`
        # makes works in `process`.
        self._loop: Optional[_Loop] = None

    def run(self, tasks: list[Task], batch_size: int) -> list[Task]:
        outputs: list[Task] = []
        try:
            self._hook("setup_on_node")
            self._hook("setup")
            try:
                if callable(getattr(self._stage, "process_batch", None)):
                    for at in range(0, len(tasks), batch_size):
                        outputs += self._batch(tasks[at : at + batch_size])
                else:
                    for task in tasks:
                        parent = (task.id, task.metadata, task.dataset_name)
                        outputs += _children(self._settled(self._stage.process(task)), *parent)
            finally:
                self._hook("teardown")
        finally:
            if self._loop is not None:
                self._loop.close()
        return outputs

    def _hook(self, name: str) -> None:
        hook = getattr(self._stage, name, None)
        if hook is not None:
            takes = bool(inspect.signature(hook).parameters)
            left = hook(self._context) if takes else hook()
            if inspect.isgenerator(left) or inspect.isasyncgen(left):
                raise TypeError(
                    f"`{name}` has a `yield`, so that nothing of it would run: take it out"
                )
            self._settled(left)

    def _batch(self, tasks: list[Task]) -> list[Task]:
        parents = [(task.id, task.metadata, task.dataset_name) for task in tasks]
        given: Any = self._settled(self._stage.process_batch(tasks))
        if isinstance(given, Aggregate):
            # The id of an aggregate is the engine's to give.
            return _children(list(given.outputs), f"r{parents[0][0]}", {}, parents[0][2])
        if not isinstance(given, (list, tuple)):
            kind = type(given).__name__
            raise TypeError(f"process_batch must return a list or an Aggregate, not {kind}")
        entries: Sequence[Any] = cast("Sequence[Any]", given)
        if len(entries) != len(tasks):
            raise ValueError(
                f"process_batch got {len(tasks)} tasks and returned {len(entries)} entries: return"
                " one entry per task (None drops it), or an Aggregate"
            )
        outputs: list[Task] = []
        for entry, parent in zip(entries, parents):
            outputs += _children(self._settled(entry), *parent)
        return outputs

    def _settled(self, value: Any) -> Any:
        """What becomes of a coroutine, or a list of what a generator of either kind yields."""
        if inspect.isgenerator(value):
            return [_sent(item) for item in _yields(value)]
        if inspect.iscoroutine(value):
            return self._settled(self._awaited(value))
        if inspect.isasyncgen(value):

            async def gather() -> list[Any]:
                return [_sent(item) async for item in value]

            return self._awaited(gather())
        return value

    def _awaited(self, coroutine: Any) -> Any:
        if self._loop is None:
            self._loop = _Loop()
        return self._loop.settle(coroutine)


def _yields(generator: Generator[Any, Any, Any]) -> Iterator[Any]:
    """What a generator yields, which may be all that it gives."""
    left: Any = yield from generator
    if left is not None:
        raise TypeError(
            f"the generator returned a {type(left).__name__}, which is lost: a function with"
            " `yield` in it gives only what it yields"
        )


class _Loop:
    """The event loop of a stage. A thread runs one loop at a time: where the caller's runs already,
    as in a notebook, the stage's is in a thread of its own."""

    def __init__(self) -> None:
        import asyncio

        self._thread: Any = None
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            pass
        else:
            from concurrent.futures import ThreadPoolExecutor

            self._thread = ThreadPoolExecutor(1, "curator-loop")
        self._loop = self._do(shared("curator_loop").Loop)

    def _do(self, what: Callable[..., Any], *arguments: Any) -> Any:
        if self._thread is None:
            return what(*arguments)
        return self._thread.submit(what, *arguments).result()

    def settle(self, coroutine: Any) -> Any:
        return self._do(self._loop.settle, coroutine)

    def close(self) -> None:
        self._do(self._loop.close)
        if self._thread is not None:
            self._thread.shutdown()


def _children(output: Any, identity: str, metadata: dict[str, Any], dataset: str) -> list[Task]:
    outputs: list[Any] = output if isinstance(output, list) else [output]
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


def _sent(value: Any) -> Any:
    """A stage, an item or an output as it is now: a worker gets and sends it before anything else
    is done to it."""
    try:
        return copy.deepcopy(value)
    except Exception:
        # It cannot be copied, and is what it is.
        return value
