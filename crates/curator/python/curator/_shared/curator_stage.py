"""What a stage's Python code may import.

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
`None` (the task is dropped). `process_batch(tasks)` returns one such entry per task, or an
`Aggregate` of all of them. `setup_on_node` runs once per node and stage, before any `setup`.
The hooks may take one argument, the `Context`.

Either may be a generator, which gives what it yields: `process` the tasks that become of one,
`process_batch` an entry per task. All of these may be `async`; a worker has one event loop, from
the first coroutine to the end of `teardown`.

Nothing in this file needs anything but Python 3.9 and its standard library, and importing it does
nothing, so a stage can be tested in plain Python, outside any worker:

    from curator_stage import Task
    assert CountWords().process(Task({"text": "a b"})).data["words"] == 2
"""

__all__ = ["Aggregate", "Context", "Task"]


class Task:
    """One unit of work: its data, and where it comes from.

    `data` is what JSON can hold, `bytes`, or a table; what else becomes JSON and what is refused is
    in the table "What a stage may return" of `docs/pipeline-files.md`. `metadata` is a dict that
    travels along. `id` is given by the framework: what a stage writes there is not kept.

    A table comes as a `pyarrow.Table` where the stage's environment has `pyarrow`, else as a
    `curator_table.Table`, which needs nothing and has the same names for the same things. It may be
    kept for as long as the stage likes: its columns are the memory that it came in, which nobody
    uses for anything else while any of them is there. What may be returned is a `pyarrow.Table` or
    `RecordBatch`, a `curator_table.Table` in any environment, or a `pandas.DataFrame` where there
    is `pyarrow` as well.
    """

    __slots__ = ("data", "dataset_name", "id", "metadata")
    __module__ = "curator_stage"

    def __init__(self, data=None, metadata=None, dataset_name="", id="0"):
        self.data = data
        self.metadata = {} if metadata is None else metadata
        self.dataset_name = dataset_name
        self.id = id

    def to_pandas(self):
        """The table as a `pandas.DataFrame`, which is a copy."""
        if hasattr(self.data, "to_pandas"):
            return self.data.to_pandas()
        import pandas

        return pandas.DataFrame(self.to_numpy())

    def to_numpy(self):
        """The columns of the table by name, as numpy arrays: views of it, which are not writable,
        where a column has numbers in one piece and no nulls, else copies."""
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
        return all(getattr(self, name) == getattr(other, name) for name in Task.__slots__)

    __hash__ = None

    def __repr__(self):
        return f"Task(id={self.id!r}, dataset_name={self.dataset_name!r}, data={self.data!r})"


class Aggregate:
    """What `process_batch` returns to turn a whole batch into `outputs`, whatever their number.

    Each output is a value or a `Task`; its parents are all the tasks of the batch.
    """

    __slots__ = ("outputs",)
    __module__ = "curator_stage"

    def __init__(self, outputs):
        self.outputs = list(outputs)


class Context:
    """Where a hook runs: `stage`, `worker` (from 0), `node`, and the environment's key or None."""

    __slots__ = ("environment", "node", "stage", "worker")
    __module__ = "curator_stage"

    def __init__(self, stage="", worker=0, node="", environment=None):
        self.stage = stage
        self.worker = worker
        self.node = node
        self.environment = environment
