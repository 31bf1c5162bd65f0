"""What a run leaves behind, for people and for programs."""

import html
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Optional

from curator._errors import exception_of
from curator._stage import Task

__all__ = ["FailedTask", "Plan", "RunReport", "declared_lines", "sort_key"]


class FailedTask:
    """A task that came to nothing: where, why, and what its worker printed last."""

    def __init__(self, told: dict[str, Any]) -> None:
        self._told = told
        self.tasks: list[str] = list(told.get("tasks", ()))
        self.sources: list[int] = list(told.get("sources", ()))
        self.stage: str = told["stage"]
        self.log: list[str] = list(told.get("log", ()))

    @property
    def error(self) -> Optional[BaseException]:
        """What the stage raised, where that can be read here."""
        return exception_of(self._raised())

    @property
    def traceback(self) -> Optional[str]:
        """The worker's traceback, where the stage raised something."""
        raised = self._raised()
        return raised["traceback"] if raised else None

    @property
    def cause(self) -> str:
        """Why, in a line."""
        raised = self._raised()
        if raised:
            return f"{raised['type']}: {raised['message']}"
        return str(self._told.get("cause"))

    def _raised(self) -> Optional[dict[str, Any]]:
        cause: Any = self._told.get("cause")
        raised: Optional[dict[str, Any]] = cause.get("raised") if type(cause) is dict else None
        return raised

    def __repr__(self) -> str:
        return f"FailedTask({', '.join(self.tasks)} in {self.stage!r}: {self.cause})"


class RunReport:
    """A run, as it ended: what came out, what failed, and what each stage did.

    It is a sequence of the tasks that came out.
    """

    def __init__(self, told: dict[str, Any], outputs: list[Task], page: bytes = b"") -> None:
        self.outputs = outputs
        self.pipeline: str = told["pipeline"]
        self.executor: str = told["executor"]
        self.failed = [FailedTask(failed) for failed in told["failed"]]
        self.stages: list[dict[str, Any]] = told["stages"]
        self.environments: list[dict[str, Any]] = told["environments"]
        self.declared: list[dict[str, Any]] = told.get("declared", [])
        self.is_stopped: bool = told["is_stopped"]
        self.wall_seconds: float = told["wall_seconds"]
        self._page = page

    @property
    def data(self) -> list[Any]:
        """The data of what came out."""
        return [task.data for task in self.outputs]

    def environment_of(self, stage: str) -> Optional[dict[str, Any]]:
        """The environment that a stage ran in; None where none was made, as with `debug=True`."""
        if all(stage != it["name"] for it in self.stages):
            there = ", ".join(repr(it["name"]) for it in self.stages)
            raise ValueError(f"there is no stage {stage!r}: there are {there}")
        return self._environment_of(stage)

    def _environment_of(self, stage: str) -> Optional[dict[str, Any]]:
        found = (it for it in self.environments if stage in it.get("stages", ()))
        return next(found, None)

    def save(self, path: str) -> None:
        """Writes the page of a run that was asked for one by `run(page=True)`."""
        if not self._page:
            raise ValueError("there is no page: ask for it by `run(..., page=True)`")
        with open(path, "wb") as file:
            file.write(self._page)

    def __iter__(self) -> Iterator[Task]:
        return iter(self.outputs)

    def __len__(self) -> int:
        return len(self.outputs)

    def __getitem__(self, index: int) -> Task:
        return self.outputs[index]

    def _rows(self) -> list[list[str]]:
        rows: list[list[str]] = []
        for stage in self.stages:
            environment = self._environment_of(stage["name"]) or {}
            key = (environment.get("key") or "-")[:12]
            state = str(environment.get("state", "-"))
            counts = [str(stage[name]) for name in ("tasks", "outputs", "failed", "workers")]
            rows.append([stage["name"], key, state, *counts, f"{stage['process_seconds']:.3f}"])
        return rows

    def __repr__(self) -> str:
        head = ["stage", "environment", "state", "tasks", "outputs", "failed", "workers", "seconds"]
        rows = [head, *self._rows()]
        widths = [max(len(row[at]) for row in rows) for at in range(len(head))]
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)) for row in rows]
        rows_and_sums = [*(line.rstrip() for line in lines), self._summary()]
        return "\n".join([*rows_and_sums, *declared_lines(self._overridden())])

    def _overridden(self) -> list[dict[str, Any]]:
        """What stages declare and did not run with."""
        return [it for it in self.declared if it["is_overridden"]]

    def _summary(self) -> str:
        failed = f", {len(self.failed)} failed" if self.failed else ""
        stopped = ", stopped before its end" if self.is_stopped else ""
        tasks = "task" if len(self.outputs) == 1 else "tasks"
        return f"{len(self.outputs)} {tasks} came out in {self.wall_seconds:.3f} s{failed}{stopped}"

    def _repr_html_(self) -> str:
        head = ("stage", "environment", "state", "tasks", "outputs", "failed", "workers", "seconds")
        cells = "".join(f"<th>{name}</th>" for name in head)
        rows = "".join(
            "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>"
            for row in self._rows()
        )
        title = html.escape(f"{self.pipeline} on {self.executor}")
        return (
            f"<table><caption>{title}: {html.escape(self._summary())}</caption>"
            f"<thead><tr>{cells}</tr></thead><tbody>{rows}</tbody></table>"
        )


class Plan:
    """What a run would do about its environments."""

    def __init__(self, told: dict[str, Any]) -> None:
        self.base: str = told["base"]
        self.engine: str = told["engine"]
        self.stages: list[dict[str, Any]] = told["stages"]
        self.declared: list[dict[str, Any]] = told["declared"]

    def __repr__(self) -> str:
        lines = [f"base {self.base}, engine {self.engine}"]
        for stage in self.stages:
            added = ", ".join(stage.get("added", ())) or "-"
            lines.append(f"{stage['stage']}  {stage['state']}  {stage.get('problem') or added}")
        return "\n".join([*lines, *declared_lines(self.declared)])


def declared_lines(declared: list[dict[str, Any]]) -> list[str]:
    """Where settings come from, for people to read."""
    lines: list[str] = []
    for it in declared:
        what = "`with_` overrides the class's" if it["is_overridden"] else "from the class:"
        lines.append(f"{it['stage']}: {it['setting']} {what} {json.dumps(it['declared'])}")
    return lines


def sort_key(task: Task, made_of: Mapping[str, Sequence[int]] = {}) -> Any:
    """The order of the items that tasks were made of; then that of ids: `0_9` before `0_10`, and a
    task before its children."""
    origin, *path = task.id.split("_")
    numbers = [int(part) for part in path]
    is_aggregate = origin != "0"
    first = min(made_of.get(task.id, ()), default=math.inf) if is_aggregate else numbers[0]
    return first, is_aggregate, origin, numbers
