"""Tables as they cross: as streams of Arrow's IPC format.

`pyarrow` reads them where it is, and `curator_table.py` where it is not; either is imported when
the first table comes.
"""

__all__ = ["as_table", "check_inputs", "keys", "open_table", "stream"]


def keys(data):
    """The keys of a dict, or the columns of a table."""
    if isinstance(data, dict):
        return data
    return data.column_names if as_table(data) is data else ()


def check_inputs(task, inputs, keys_of, stage):
    """Refuses a task that lacks a key which the stage needs."""
    keys = keys_of(task.data)
    for name in inputs:
        if name not in keys:
            have = ", ".join(map(repr, keys))
            raise KeyError(
                f"task {task.id} failed validation for stage {stage!r}:"
                f" it needs the key {name!r}, and has {have or 'no keys'}"
            )


def has_keys(data):
    """Whether it is a dict or a table."""
    return isinstance(data, dict) or as_table(data) is data


def open_table(view):
    """The table in a stream, over the same memory."""
    global _open_stream
    if _open_stream is None:
        _open_stream = _opener()
    return _open_stream(view)


_open_stream = None


def _opener():
    try:
        import pyarrow
    except ImportError:
        from curator_table import Table

        return Table.from_stream

    def open_stream(view):
        with pyarrow.ipc.open_stream(pyarrow.py_buffer(view)) as reader:
            return reader.read_all()

    return open_stream


def as_table(data):
    """What a stage may return as a table, as a `Table` of either module; else None."""
    root = type(data).__module__.partition(".")[0]
    if root == "curator_table":
        from curator_table import Table

        return data if isinstance(data, Table) else None
    if root not in ("pyarrow", "pandas"):
        return None
    if root == "pandas":
        import pandas

        if not isinstance(data, pandas.DataFrame):
            return None
        try:
            import pyarrow
        except ImportError as error:
            raise ImportError(
                "a DataFrame crosses as an Arrow table, and this stage's environment has no"
                f" pyarrow: add it to its runtime_env ({error})"
            ) from None
        from curator_cells import table_of

        return table_of(data)
    import pyarrow

    if isinstance(data, pyarrow.RecordBatch):
        return pyarrow.Table.from_batches([data])
    return data if isinstance(data, pyarrow.Table) else None


def stream(table):
    """A table as it crosses: its size is known before it is written, so that it is written once, to
    where it shall be."""
    if type(table).__module__ == "curator_table":
        return table.to_stream()
    return _PyarrowStream(table)


class _PyarrowStream:
    """What `pyarrow` makes of a table."""

    def __init__(self, table):
        import pyarrow

        self._pyarrow = pyarrow
        self._table = table
        counted = pyarrow.MockOutputStream()
        self._write(counted)
        self._size = counted.size()

    def size(self):
        return self._size

    def write_into(self, view):
        self._write(self._pyarrow.FixedSizeBufferWriter(self._pyarrow.py_buffer(view)))

    def _write(self, sink):
        with sink, self._pyarrow.ipc.new_stream(sink, self._table.schema) as writer:
            writer.write_table(self._table)
