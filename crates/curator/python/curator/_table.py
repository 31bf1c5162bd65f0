"""Tables, which cross as streams of Arrow's IPC format, whatever made them."""

import sys
from importlib import import_module
from typing import Any, Optional, Union

from curator._shared import shared

__all__ = ["ArrowStream", "Body", "TableError", "from_ipc", "stream_of", "to_ipc"]

# What crosses, as memory of either kind.
Body = Union[bytes, memoryview]


class TableError(TypeError):
    """Says why a frame has no form as a table, and what has."""


class ArrowStream:
    """A table that came out where there is no `pyarrow` to read it: its stream, as it is."""

    def __init__(self, ipc: bytes) -> None:
        self.ipc = ipc

    def __repr__(self) -> str:
        return f"ArrowStream({len(self.ipc)} bytes; `pyarrow` reads them)"


def to_ipc(data: Any) -> Optional[Body]:
    """The stream of a table of `pyarrow`, `pandas` or `polars`; None for what is none."""
    if isinstance(data, ArrowStream):
        return data.ipc
    root = type(data).__module__.partition(".")[0]
    if root not in ("pyarrow", "pandas", "polars"):
        return None
    if root == "pandas":
        pandas = sys.modules["pandas"]
        if isinstance(data, pandas.Series):
            raise TableError(
                "a pandas.Series is no table, and a pickle of one version of pandas is none of"
                " another: use `series.to_frame()`, or `series.tolist()`"
            )
        if not isinstance(data, pandas.DataFrame):
            return None
        arrow = _pyarrow("a pandas.DataFrame")
        try:
            data = shared("curator_cells").table_of(data)
        except (arrow.ArrowException, TypeError, ValueError, OverflowError) as error:
            raise TableError(
                f"the pandas.DataFrame has no form as an Arrow table, which it crosses as: {error}"
            ) from error
    elif root == "polars":
        if not hasattr(data, "to_arrow") or not hasattr(data, "columns"):
            return None
        data = data.to_arrow()
    arrow = _pyarrow("a table")
    if isinstance(data, arrow.RecordBatch):
        data = arrow.Table.from_batches([data])
    if not isinstance(data, arrow.Table):
        return None
    return stream_of(data)


def stream_of(table: Any) -> memoryview:
    """The stream of a `pyarrow.Table`."""
    arrow = _pyarrow("a table")
    # Its length first, since a buffer that grows is copied as it does.
    length = arrow.MockOutputStream()
    _write(arrow, length, table)
    buffer = arrow.allocate_buffer(length.size())
    _write(arrow, arrow.FixedSizeBufferWriter(buffer), table)
    return memoryview(buffer).toreadonly()


def _write(arrow: Any, sink: Any, table: Any) -> None:
    with arrow.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)


def from_ipc(body: Body) -> Any:
    """The table in a stream."""
    try:
        pyarrow = import_module("pyarrow")
    except ImportError:
        return ArrowStream(bytes(body))
    with pyarrow.ipc.open_stream(pyarrow.py_buffer(body)) as reader:
        return reader.read_all()


def _pyarrow(what: str) -> Any:
    try:
        pyarrow = import_module("pyarrow")
        import_module("pyarrow.ipc")
    except ImportError as error:
        raise TableError(
            f"{what} crosses to other processes as an Arrow table, and that needs `pyarrow`"
        ) from error
    return pyarrow
