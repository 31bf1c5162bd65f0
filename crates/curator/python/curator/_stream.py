"""A run under way: tasks go in and come out, as fast as the consumer takes them."""

import json
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Any, Callable, Optional

from curator._data import decode, encode
from curator._errors import CuratorError, EngineError, error_of
from curator._program import Folder
from curator._report import RunReport
from curator._session import BYE, NOTE, OUTPUT, REPORT, Session
from curator._stage import Task

__all__ = ["Stream", "ask"]

Notes = Callable[[dict[str, Any]], None]


def ask(request: dict[str, Any], cache_dir: Optional[Folder]) -> dict[str, Any]:
    """What the program answers to a request that no tasks belong to."""
    session = Session(request, cache_dir)
    answer: dict[str, Any] = {}
    try:
        while True:
            kind, _, meta, _ = session.receive()
            if kind == REPORT:
                answer = json.loads(meta)
            elif kind == BYE:
                break
    finally:
        session.close()
    if "error" in answer:
        raise error_of(answer["error"], _names(request))
    return {**answer["report"], "declared": answer["declared"]}


def _names(request: dict[str, Any]) -> list[str]:
    """The names of the stages in a request."""
    return [entry["name"] for entry in request["pipeline"]["stage"]]


def _decoded(meta: str, body: Any) -> tuple[Task, list[int]]:
    try:
        return decode(meta, body)
    except Exception as error:
        identity = json.loads(meta)[0]
        raise CuratorError(
            f"task {identity} came out with an object that this program cannot read:"
            f" {type(error).__name__}: {error}",
            hint="install the package that it is of, or have the last stage return plain values",
        ) from error


class Stream(Iterator[Task]):
    """The tasks that come out of a pipeline, as they do.

    A consumer that stops taking them holds the run up; `close`, the end of a `with` block, and the
    end of this object end it. `report` is there once the last one has come.
    """

    report: Optional[RunReport] = None

    def __init__(
        self,
        request: dict[str, Any],
        items: Iterable[Any],
        cache_dir: Optional[Folder],
        notes: Notes,
    ) -> None:
        self._notes = notes
        self._told: dict[str, Any] = {}
        self._page = b""
        self._is_done = False
        self._names = _names(request)
        self._session = Session(request, cache_dir)
        self._session.feed(items, encode)

    def __iter__(self) -> "Stream":
        return self

    def __next__(self) -> Task:
        try:
            return self.next_with_sources()[0]
        except KeyboardInterrupt:
            # A traceback may hold this object for long.
            self.close()
            raise

    def next_with_sources(self) -> tuple[Task, list[int]]:
        """The next task, and the places of the items that it was made of. Ctrl-C is the caller's
        to hear, and does not end the run."""
        if self._is_done:
            raise StopIteration
        try:
            while True:
                kind, _, meta, body = self._session.receive()
                if kind == OUTPUT:
                    return _decoded(meta, body)
                if kind == NOTE:
                    self._notes(json.loads(meta))
                elif kind == REPORT:
                    self._told, self._page = json.loads(meta), bytes(body)
                elif kind == BYE:
                    break
        except KeyboardInterrupt:
            raise  # `run` has the workers finish what they hold.
        except StopIteration as error:
            self.close()
            # Raised here it would be the end of the tasks.
            raise RuntimeError("the source of tasks raised StopIteration") from error
        except BaseException as error:
            if self._is_done and isinstance(error, EngineError):
                # Another thread has taken the last task, or closed this.
                raise StopIteration from None
            self.close()
            raise
        self.close()
        if "error" in self._told:
            raise error_of(self._told["error"], self._names)
        if "report" not in self._told:
            raise CuratorError("the program told no report")
        self.report = RunReport(
            {**self._told["report"], "declared": self._told.get("declared", [])}, [], self._page
        )
        done = {it["name"]: (it["tasks"], it["outputs"]) for it in self.report.stages}
        self._notes({"event": "finished", "stages": done})
        raise StopIteration

    def cancel(self) -> None:
        """Has the run end in order: workers finish what they hold, and what waits is dropped."""
        self._session.cancel(at_once=False)

    def close(self) -> None:
        """Ends the run at once, if it has not ended."""
        is_first, self._is_done = not self._is_done, True
        self._session.close()
        if is_first:
            self._notes({"event": "ended"})

    def __enter__(self) -> "Stream":
        return self

    def __exit__(
        self,
        kind: Optional[type[BaseException]],
        error: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None:
        self.close()

    def __del__(self) -> None:
        if hasattr(self, "_session"):
            self._session.close()
