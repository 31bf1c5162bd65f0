"""A task's data on its way to the program and back."""

import json
from collections.abc import Iterable, Mapping
from typing import Any, Optional, cast

from curator._errors import PipelineError
from curator._pickle import dumps, loads
from curator._shared import shared
from curator._stage import Task
from curator._table import Body, TableError, from_ipc, to_ipc

__all__ = ["crossed", "decode", "encode", "tasks_of"]

_values = shared("curator_json")
_plain = shared("curator_plain")

# As `curator_objects.py` has it, which workers read and write such values by.
_MARK = b"\x93curator\0"

_FORM: dict[str, Any] = {
    "allow_nan": False,
    "separators": (",", ":"),
    "default": _values.stand_in,
}
# Of what is given as the data of a task alone.
_PLAIN_HEADS = {kind: f'["{kind}","",{{}}]'.encode() for kind in "jbt"}
_encode = json.JSONEncoder(ensure_ascii=False, **_FORM).encode
_encode_escaped = json.JSONEncoder(**_FORM).encode
_NO_TABLES = frozenset((*_plain.PLAIN, dict, list, tuple))
# Neither looks for white space around a text, nor for its encoding.
_decoder: Any = json.JSONDecoder()
_scan = _decoder.scan_once


class _AnswerError(TypeError):
    """Says that an answer of a stage stands where data does."""


def tasks_of(items: Optional[Iterable[Any]]) -> Iterable[Any]:
    """The tasks that a caller hands in; raises where that is plainly one alone."""
    if items is None:
        return [None]
    kind = type(items)
    is_table = kind.__module__.partition(".")[0] in ("pandas", "polars", "pyarrow") and (
        kind.__name__ in ("DataFrame", "LazyFrame", "RecordBatch", "Series", "Table")
    )
    is_one = isinstance(items, (str, bytes, bytearray, memoryview, Mapping, Task, type)) or is_table
    if is_one or not (hasattr(items, "__iter__") or hasattr(items, "__getitem__")):
        way_out = "for one task, give `[item]`"
        if hasattr(items, "__aiter__"):
            way_out = "give a generator that is not `async`, or a list"
        elif callable(items):
            way_out = "call it, and give what it returns"
        raise TypeError(
            f"a pipeline takes its tasks one after the other, and got a {kind.__qualname__}:"
            f" {way_out}"
        )
    return items


def encode(item: Any, index: int) -> tuple[bytes, Body]:
    """An item that a user hands in, as the head and the body of a frame."""
    try:
        if type(item) in _NO_TABLES:
            # Most items are plain, and as many as there are.
            try:
                return _PLAIN_HEADS["j"], _json(item)
            except (TypeError, ValueError, RecursionError):
                return _PLAIN_HEADS["b"], _pickled(item)
        if not isinstance(item, Task):
            kind, body = _encoded(item)
            return _PLAIN_HEADS[kind], body
        kind, body = _encoded(item.data if type(item) is Task else item)
    except (TableError, _AnswerError) as error:
        raise PipelineError(f"task {index} cannot be sent to a worker: {error}") from error
    except Exception as error:
        raise PipelineError(
            f"task {index} cannot be sent to a worker: {type(error).__name__}: {error}",
            hint="give what can be pickled, such as a path, and open or make the rest in `process`",
        ) from error
    try:
        return _head(kind, item), body
    except (TypeError, ValueError, RecursionError) as error:
        raise PipelineError(f"task {index} cannot be sent to a worker: {error}") from error


def _head(kind: str, task: Task) -> bytes:
    """What is said of a task beside its data, which other programs read, too."""
    metadata: Any = {} if task.metadata is None else task.metadata  # As workers have it.
    dataset: Any = "" if task.dataset_name is None else task.dataset_name
    _values.check_labels(metadata, dataset)
    try:
        head = _encode([kind, dataset, metadata]).encode()
        if _plain.has_text_keys(metadata):
            return head
        why = "a key is no text"
    except (TypeError, ValueError, RecursionError) as error:
        why = str(error)
    refused = _values.find_refused(metadata, "metadata")
    raise TypeError(refused or _values.find_refused(dataset, "dataset_name") or why)


def _encoded(data: Any) -> tuple[str, Body]:
    if isinstance(data, (bytes, bytearray, memoryview)):
        raw = bytes(cast("bytes", data))
        return "b", raw if not raw.startswith(_MARK) else _MARK + dumps(raw)
    if type(data) not in _NO_TABLES:
        table = to_ipc(data)
        if table is not None:
            return "t", table
    if not isinstance(data, Task):
        try:
            return "j", _json(data)
        except (TypeError, ValueError, RecursionError):
            # What JSON has no form for only the user's own processes read.
            return "b", _pickled(data)
    return "b", _MARK + dumps(data)


def _pickled(data: Any) -> bytes:
    answer = _values.find_answer(data)
    if answer:
        raise _AnswerError(answer)
    return _MARK + dumps(_values.in_forms_of_json(data))


def _json(value: Any) -> bytes:
    text = _encode(value)
    if type(value) not in _plain.PLAIN and not _plain.has_text_keys(value):
        raise TypeError("a key is no text")
    try:
        return text.encode()
    except UnicodeEncodeError:
        # Half of a surrogate pair, which only an escape can carry: but not two that would be one.
        if shared("curator_json").joins_halves(text):
            raise
        return _encode_escaped(value).encode()


def decode(head: str, body: Body) -> tuple[Task, list[int]]:
    """A task that came out, and the places of the items that it was made of."""
    identity, kind, dataset, metadata, sources, _ = _read(head)
    return _task(kind, body, identity, dataset, metadata), sources


def crossed(item: Any, index: int) -> Task:
    """An item or an output as the task that it is in another process."""
    head, body = encode(item, index)
    kind, dataset, metadata = _read(head.decode())
    return _task(kind, body, f"0_{index}", dataset, metadata)


def _task(kind: str, body: Body, identity: str, dataset: str, metadata: dict[str, Any]) -> Task:
    if kind == "j":
        data = _read(str(body, "utf-8"))
    elif kind == "t":
        data = from_ipc(body)
    elif body[: len(_MARK)] == _MARK:
        data = loads(memoryview(body)[len(_MARK) :])
        if isinstance(data, Task):
            data.id, data.dataset_name, data.metadata = identity, dataset, metadata
            return data
    else:
        data = bytes(body)
    return Task(data, metadata, dataset, identity)


def _read(text: str) -> Any:
    try:
        return _scan(text, 0)[0]
    except StopIteration:
        # It would end whatever iterates over the tasks.
        return _decoder.decode(text)
    except ValueError:
        return _plain.of_any_size(_decoder.decode, text)
