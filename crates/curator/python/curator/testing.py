"""Tests of stages in the process at hand: no program, no worker, no environment."""

import copy
import inspect
import time
import warnings
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Callable, Optional, cast

from curator._data import crossed, tasks_of
from curator._errors import PipelineError
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
    tasks = [crossed(item, index) for index, item in enumerate(tasks_of(items))]
    instance = as_instance(stage)
    return _Here(instance, name_of(instance), settings_of(instance)).run(tasks)


def run_here(pipeline: "Pipeline", items: Optional[Iterable[Any]]) -> RunReport:
    """A whole pipeline in this process, one stage after the other."""
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
    tasks = [crossed(item, index) for index, item in enumerate(tasks_of(items))]
    reports: list[dict[str, Any]] = []
    for stage, name, chosen in zip(pipeline.stages, names_of(pipeline.stages), settings):
        began = time.monotonic()
        # The pipeline's own stage stays as it is, for the next run.
        outputs = _Here(_copied(stage), name, chosen).run(tasks)
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


def _check_settings(stage: str, settings: Mapping[str, Any]) -> None:
    """Refuses what a run would refuse, where it has a meaning here as well."""
    for name in ("batch_size", "num_workers", "max_attempts", "recycle_after_tasks"):
        value: Any = settings.get(name)
        if value is not None and (type(value) is not int or value < 1):
            raise PipelineError(
                f"`{name}` of stage {stage!r} is a whole number from 1 on, not {value!r}",
                stage=stage,
            )


class _Here:
    """A stage that works in this process."""

    def __init__(self, stage: Any, name: str, settings: Mapping[str, Any]) -> None:
        self._context = Context(name, 0, "here", None)
        self._stage = shared("curator_nemo").as_stage(stage)
        _check_settings(name, settings)
        self._batch_size: int = settings.get("batch_size") or 1
        self._inputs = tuple(settings.get("inputs") or ())
        self._streams = shared("curator_streams")
        self._keys = getattr(self._stage, "keys_of", self._streams.keys)
        # Made for the first coroutine, and kept to the end, as in a worker: a client that `setup`
        # makes works in `process`.
        self._loop: Optional[_Loop] = None

    def run(self, tasks: list[Task]) -> list[Task]:
        outputs: list[Task] = []
        size = self._batch_size
        try:
            self._hook("setup_on_node")
            self._hook("setup")
            try:
                if callable(getattr(self._stage, "process_batch", None)):
                    for at in range(0, len(tasks), size):
                        outputs += self._batch(tasks[at : at + size])
                else:
                    for task in tasks:
                        parent = (task.id, task.metadata, task.dataset_name)
                        self._check(task)
                        given = self._settled(self._stage.process(task), _with_labels(task))
                        outputs += _children(given, *parent)
            finally:
                self._tear_down()
        finally:
            if self._loop is not None:
                self._loop.close()
        return outputs

    def _tear_down(self) -> None:
        """What it raises is a warning, as in a run: the outputs are there."""
        try:
            self._hook("teardown")
        except Exception as error:
            warnings.warn(
                f"stage {self._context.stage!r}: `teardown` raised {type(error).__name__}: {error}",
                stacklevel=4,
            )

    def _hook(self, name: str) -> None:
        hook = getattr(self._stage, name, None)
        if hook is not None:
            takes = shared("curator_code").takes_argument(hook)
            left = hook(self._context) if takes else hook()
            if inspect.isgenerator(left) or inspect.isasyncgen(left):
                raise TypeError(
                    f"`{name}` has a `yield`, so that nothing of it would run: take it out"
                )
            self._settled(left)

    def _check(self, task: Task) -> None:
        if self._inputs:
            self._streams.check_inputs(task, self._inputs, self._keys, self._context.stage)

    def _batch(self, tasks: list[Task]) -> list[Task]:
        for task in tasks:
            self._check(task)
        parents = [(task.id, task.metadata, task.dataset_name) for task in tasks]
        given: Any = self._settled(self._stage.process_batch(tasks), _entry)
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

    def _settled(self, value: Any, sent: Optional[Callable[[Any], Any]] = None) -> Any:
        """What becomes of a coroutine, or a list of what a generator of either kind yields, each
        sent before the generator goes on."""
        sent = sent or _sent
        if inspect.isgenerator(value):
            return [sent(item) for item in _yields(value)]
        if inspect.iscoroutine(value):
            return self._settled(self._awaited(value), sent)
        if inspect.isasyncgen(value):

            async def gather() -> list[Any]:
                return [sent(item) async for item in value]

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
        task = data if isinstance(data, Task) else Task(data, _sent(metadata), dataset)
        task.id = f"{identity}_{len(children)}"
        task.dataset_name = task.dataset_name or dataset
        children.append(task)
    return children


def _with_labels(parent: Task) -> Callable[[Any], Any]:
    """What a generator yields gets the metadata that its task has at that moment."""

    def sent(value: Any) -> Any:
        value = _sent(value)
        if value is None or isinstance(value, Task):
            return value
        return Task(value, _sent(parent.metadata), parent.dataset_name)

    return sent


def _sent(value: Any) -> Any:
    """An output as another process would have it. It is sent before anything else is done to it."""
    try:
        task = crossed(value, 0)
    except PipelineError as error:
        cause = error.__cause__ or error
        raise TypeError(f"the stage returned what cannot be sent: {cause}") from cause
    return task if isinstance(value, Task) else task.data


def _entry(value: Any) -> Any:
    """An entry of a batch that is no coroutine or the like, sent: each task of a list by itself."""
    if isinstance(value, list):
        return [_sent(item) for item in value]
    is_late = inspect.isawaitable(value) or inspect.isgenerator(value) or inspect.isasyncgen(value)
    return value if is_late else _sent(value)


def _copied(stage: Any) -> Any:
    """A copy of a stage, as a worker has one."""
    try:
        return copy.deepcopy(stage)
    except Exception:
        # It cannot be copied, and is what it is.
        return stage
