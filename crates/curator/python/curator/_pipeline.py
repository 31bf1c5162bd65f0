"""Pipelines: stages in a row, and ways to run them."""

import contextlib
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Optional, Union

from curator._data import tasks_of
from curator._errors import PipelineError
from curator._executors import (
    Checkpoint,
    Executor,
    LocalExecutor,
    RunRecord,
    executor_of,
    folder_of,
)
from curator._keep import add_keep
from curator._loader import entries
from curator._program import Folder
from curator._progress import Progress
from curator._report import Plan, RunReport, declared_lines, sort_key
from curator._stage import Task, changes_of, declarations, expand, names_of, with_settings
from curator._stream import Stream, ask

__all__ = ["Pipeline"]


class Pipeline:
    """Stages in a row: classes, instances and functions.

    `base` is what their environments stand on: the path of a Python or of a virtualenv, or a table
    as in `{"uv": ["numpy"]}`; by default, the environment of this process. `runtime_env` is for
    stages that declare none.
    """

    def __init__(
        self,
        stages: Sequence[Any],
        *,
        name: str = "pipeline",
        description: Optional[str] = None,
        base: Union[None, Folder, Mapping[str, Any]] = None,
        runtime_env: Optional[Mapping[str, Any]] = None,
    ) -> None:
        self.stages: list[Any] = expand(stages)
        self.name = name
        self.description = description
        self.base = base
        self.runtime_env = runtime_env
        self._check()

    def _check(self) -> None:
        """Refuses arguments that mean nothing; attributes may have been set since."""
        texts: list[tuple[str, Any]] = [("name", self.name), ("description", self.description)]
        for name, value in texts:
            if not isinstance(value, str) and (name == "name" or value is not None):
                raise TypeError(f"`{name}` of a pipeline is text, not {value!r}")
        base: Any = self.base
        if base is not None and not isinstance(base, Mapping):
            folder_of(base, "base")
        env: Any = self.runtime_env
        if env is not None and not isinstance(env, Mapping):
            raise TypeError(f"`runtime_env` is a table, as in {{'uv': ['packaging']}}, not {env!r}")

    def with_(self, changes: Mapping[str, Mapping[str, Any]]) -> "Pipeline":
        """Returns a copy with other settings for some stages, by their names."""
        left = changes_of(changes)
        names = names_of(self.stages)
        stages: list[Any] = []
        for stage, name in zip(self.stages, names):
            change = left.pop(name, None)
            stages.append(stage if change is None else with_settings(stage, change))
        if left:
            there = ", ".join(map(repr, names))
            raise ValueError(f"there is no stage {next(iter(left))!r}: there are {there}")
        return Pipeline(
            stages,
            name=self.name,
            description=self.description,
            base=self.base,
            runtime_env=self.runtime_env,
        )

    def describe(self) -> str:
        """What it is, in lines."""
        request, _ = self._request("describe", LocalExecutor())
        for stage, entry in zip(self.stages, request["pipeline"]["stage"]):
            # How it gets to its workers is nothing to read.
            del entry["source"], entry["args"]
            entry["python"] = _place_of(stage)
        told = ask(request, None)
        declared = "".join(f"\n{line}" for line in declared_lines(told["declared"]))
        return str(told["text"]) + declared

    def plan(self, executor: Optional[Executor] = None) -> Plan:
        """What a run would do about its environments. Nothing is built."""
        request, executor = self._request("plan", executor)
        return Plan(ask(request, executor.cache_dir))

    def stream(
        self,
        items: Optional[Iterable[Any]] = None,
        executor: Optional[Executor] = None,
        *,
        checkpoint: Union[None, Folder, Checkpoint] = None,
        record: Union[None, Folder, RunRecord] = None,
        locked: Union[None, Folder, RunRecord] = None,
        page: bool = False,
        progress: Optional[bool] = None,
        logs: bool = True,
    ) -> Stream:
        """Runs it over items, of which there may be endlessly many, and gives the tasks that come
        out, as they do.

        An item is a `Task` or the data of one; without items, the run begins with an empty task.
        They are asked for in a thread of their own, as the stages have room.
        """
        items = tasks_of(items)
        request, executor = self._request("run", executor, with_digests=checkpoint is not None)
        add_keep(request, self, executor)
        if checkpoint is not None:
            kept = checkpoint.dir if isinstance(checkpoint, Checkpoint) else checkpoint
            request["checkpoint"] = {
                "dir": os.path.abspath(folder_of(kept, "checkpoint")),
                "accept_changes": isinstance(checkpoint, Checkpoint) and checkpoint.accept_changes,
            }
        for name, folder in (("record", record), ("locked", locked)):
            if folder is not None:
                folder = folder.dir if isinstance(folder, RunRecord) else folder
                request[name] = os.path.abspath(folder_of(folder, name))
        if page:
            request["page"] = True
        if executor.stop_grace is not None:
            request["stop_grace_seconds"] = executor.stop_grace
        notes = Progress(names_of(self.stages), progress, logs)
        return Stream(request, items, executor.cache_dir, notes)

    def run(
        self,
        items: Optional[Iterable[Any]] = None,
        executor: Optional[Executor] = None,
        *,
        debug: bool = False,
        checkpoint: Union[None, Folder, Checkpoint] = None,
        record: Union[None, Folder, RunRecord] = None,
        locked: Union[None, Folder, RunRecord] = None,
        page: bool = False,
        progress: Optional[bool] = None,
        logs: bool = True,
    ) -> RunReport:
        """Runs it over items, and gives what came out, in the order of the items.

        The options are those of `stream`. `debug=True` runs all stages in this process, whatever
        the executor, so that `breakpoint()` works; it refuses stages with an environment of their
        own. Ctrl-C has workers finish what they hold, and a second one ends the run at once.
        """
        executor = executor_of(executor)
        if debug:
            from curator.testing import run_here

            self._check()
            kept = {"checkpoint": checkpoint, "record": record, "locked": locked, "page": page}
            for name, value in kept.items():
                if value:
                    raise ValueError(
                        f"`debug=True` runs in this process and keeps nothing: leave out `{name}`"
                    )
            return run_here(self, items)
        stream = self.stream(
            items,
            executor,
            checkpoint=checkpoint,
            record=record,
            locked=locked,
            page=page,
            progress=progress,
            logs=logs,
        )
        outputs: list[Task] = []
        # What aggregates were made of, by the places of the items: their ids do not tell.
        made_of: dict[str, list[int]] = {}
        try:
            try:
                with contextlib.suppress(StopIteration):
                    while True:
                        task, sources = stream.next_with_sources()
                        outputs.append(task)
                        if task.id[0] != "0":
                            made_of[task.id] = sources
            except KeyboardInterrupt:
                stream.cancel()
                # Whatever else fails on the way, Ctrl-C is why the run ended.
                with contextlib.suppress(Exception):
                    for _ in stream:
                        pass
                raise
        finally:
            stream.close()
        report = stream.report
        assert report is not None, "a stream that ends without an error has a report"
        report.outputs = sorted(outputs, key=lambda task: sort_key(task, made_of))
        return report

    def _request(
        self, what: str, executor: Optional[Executor], *, with_digests: bool = False
    ) -> tuple[dict[str, Any], Executor]:
        """The first frame to the program, and the executor, which by default is this machine."""
        executor = executor_of(executor)
        self._check()
        if not self.stages:
            raise PipelineError(
                f"pipeline {self.name!r} has no stages",
                hint="give it some: classes, instances or functions, in a list",
            )
        file: dict[str, Any] = {
            "name": self.name,
            "engine": executor.engine(),
            "stage": entries(
                self.stages,
                is_remote=executor.is_remote,
                is_quiet=what == "run",
                with_preloads=what != "describe",
                with_digests=with_digests,
                is_here=self.base is None and self.runtime_env is None,
            ),
        }
        base = self.base
        if base is None:
            if not sys.executable:
                raise PipelineError(
                    "this Python does not know its own interpreter, which stages run over",
                    hint='name one: `Pipeline(stages, base="path of a Python or a virtualenv")`',
                )
            file["base"] = sys.executable
        else:
            file["base"] = dict(base) if isinstance(base, Mapping) else folder_of(base, "base")
        if self.description is not None:
            file["description"] = self.description
        if self.runtime_env is not None:
            file["runtime_env"] = dict(self.runtime_env)
        if executor.failure_policy is not None:
            file["failure_policy"] = executor.failure_policy
        from curator import __version__

        request = {
            "version": __version__,
            "do": what,
            "pipeline": file,
            "dir": os.getcwd(),
            "declared": declarations(self.stages),
        }
        return request, executor

    def __repr__(self) -> str:
        return f"Pipeline({self.name!r}: {' -> '.join(names_of(self.stages))})"


def _place_of(stage: Any) -> str:
    """Where a stage's code is, as a pipeline file says it."""
    code = getattr(stage, "__wrapped__", None) or type(stage)
    name = code.__qualname__.rpartition("<locals>.")[2]
    is_name = all(part.isidentifier() for part in name.split("."))
    return f"{code.__module__}:{name if is_name else 'function'}"
