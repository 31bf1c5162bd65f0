"""The functions and classes that a stage's Python code may import.

A stage is a class or a function in a file of yours:

    class CountWords:
        def setup(self):                  # optional, once per worker
            self.seen = 0

        def process(self, task):
            task.data["words"] = len(task.data["text"].split())
            return task

        def teardown(self):               # optional, when a worker ends in order
            pass

`process(task)` returns the new data, a `Task`, a list (each item becomes a task of its own), or
`None` (the task is dropped). `process_batch(tasks)` returns one such entry for each task, or an
`Aggregate` of all of them. `setup_on_node` runs once for each node and stage, before any `setup`.
The hooks may take one argument, the `Context`.

Both may be generators: `process` yields the outputs for its task, `process_batch` an entry for each
task. All of these may be `async`; a worker has one event loop, from the first coroutine to the end
of `teardown`.

This file needs only Python 3.9 and its standard library, and importing it has no effects. So a
stage can be tested in plain Python, outside of any worker:

    from curator_stage import Task
    assert CountWords().process(Task({"text": "a b"})).data["words"] == 2
"""

__all__ = ["Aggregate", "Context", "Task"]


class Task:
    """One unit of work: its data, and its origin.

    `data` is a JSON value, `bytes`, or a table; the table "What a stage may return" of
    `docs/pipeline-files.md` lists other values that become JSON, and refused ones. `metadata` is a
    dict that travels with the data. The framework sets `id`; an id that a stage sets is not kept.

    A table comes as a `pyarrow.Table` if the stage's environment has `pyarrow`, else as a
    `curator_table.Table`, which needs no package and has the same names for the same things. A
    stage may keep it as long as it likes: its columns are the memory that it came in, which is not
    reused while any of them exists. A stage may return a `pyarrow.Table` or `RecordBatch`, a
    `curator_table.Table` in any environment, or a `pandas.DataFrame` if there is `pyarrow` as well.
    """

    # A worker leaves the data in `_unread` until a stage looks at it: `_read` reads it then.
    __slots__ = ("_data", "_unread", "dataset_name", "id", "metadata")
    __module__ = "curator_stage"
    _read = None

    def __init__(self, data=None, metadata=None, dataset_name="", id="0"):
        self._unread = None
        if type(self) is Task:
            self._data = data
        else:
            self.data = data
        self.metadata = {} if metadata is None else metadata
        self.dataset_name = dataset_name
        self.id = id

    def __init_subclass__(cls, **options):
        super().__init_subclass__(**options)
        if cls.data is Task.data:
            # A dataclass would take a property for the default of its field. No worker makes tasks
            # of such a class.
            cls.data = Task._data

    @property
    def data(self):
        return self._data if self._unread is None else Task._read(self)

    @data.setter
    def data(self, data):
        self._data = data
        self._unread = None

    def to_pandas(self):
        """Returns the table as a `pandas.DataFrame`, which is a copy."""
        if hasattr(self.data, "to_pandas"):
            return self.data.to_pandas()
        import pandas

        return pandas.DataFrame(self.to_numpy())

    def to_numpy(self):
        """Returns the columns of the table by name, as numpy arrays. A column of numbers in one
        piece without nulls is a read-only view; others are copies."""
        columns = {}
        for name, column in zip(self.data.column_names, self.data.columns):
            if hasattr(column, "combine_chunks"):
                whole = column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
                columns[name] = whole.to_numpy(zero_copy_only=False)
            else:
                columns[name] = column.to_numpy()
        return columns

    def __eq__(self, other):
        if not isinstance(other, Task):
            return NotImplemented
        names = ("data", "dataset_name", "id", "metadata")
        return all(getattr(self, name) == getattr(other, name) for name in names)

    __hash__ = None

    def __reduce_ex__(self, protocol):
        if type(self) is Task:
            return Task, (self.data, self.metadata, self.dataset_name, self.id)
        return super().__reduce_ex__(protocol)

    def __repr__(self):
        return f"Task(id={self.id!r}, dataset_name={self.dataset_name!r}, data={self.data!r})"


class Aggregate:
    """Turns a whole batch into `outputs` of any number, when `process_batch` returns it.

    Each output is a value or a `Task`; its parents are all the tasks of the batch.
    """

    __slots__ = ("outputs",)
    __module__ = "curator_stage"

    def __init__(self, outputs):
        kind = type(outputs)
        is_one = isinstance(outputs, (str, bytes, bytearray, memoryview, dict, Task))
        # Iterated over, what is of these packages gives columns, names or cells.
        tables = ("curator_table", "pandas", "polars", "pyarrow")
        if is_one or kind.__module__.partition(".")[0] in tables:
            raise TypeError(
                "an Aggregate takes its outputs one after the other, and got a"
                f" {kind.__qualname__}: for one output, give `[output]`"
            )
        self.outputs = list(outputs)


class Context:
    """The place of a hook: `stage`, `worker` (from 0), `node`, the environment's key or None."""

    __slots__ = ("environment", "node", "stage", "worker")
    __module__ = "curator_stage"

    def __init__(self, stage="", worker=0, node="", environment=None):
        self.stage = stage
        self.worker = worker
        self.node = node
        self.environment = environment
