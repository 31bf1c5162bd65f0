"""JSON that a stage has not looked at yet.

A stage that passes a task on without a look at its data passes on the text that came: Python's
floats have fewer digits than JSON may have, and its dicts no key twice.
"""

from curator_plain import without_limit
from curator_stage import Task

__all__ = ["Unread", "begin", "data_of", "task_of"]

_new = Task.__new__


class Unread(tuple):
    """Data at which nothing has looked, as an output: its text, its batch, and its place there."""

    __slots__ = ()


def begin(decode):
    """Has tasks read their data with this decoder when something looks at it. Returns the function
    that reads a text.

    The class `Task` outlives what a worker holds, so that neither function may hold the worker: the
    code of its stage is called when that goes.
    """

    def read(text):
        try:
            try:
                value, end = decode(text, 0)
            except ValueError:
                value, end = without_limit(decode, text, 0)
        except StopIteration as stop:
            raise ValueError(f"no JSON at {stop.value}") from None
        except RecursionError:
            raise RecursionError(
                "the data is nested deeper than this Python reads JSON: have what makes it, or a"
                " Rust stage, make it flatter"
            ) from None
        if end != len(text):
            raise ValueError(f"no JSON at {end}")
        return value

    def look(task):
        unread = task._unread
        if unread is None:  # Another thread has looked meanwhile.
            return task._data
        data = read(unread[0])
        # What the first of several threads has read is what all get.
        unread.append(data)
        if unread[3] is not data:
            return unread[3]
        task._data = data
        task._unread = None
        return data

    Task._read = staticmethod(look)
    return read


def task_of(unread, metadata, dataset_name, identity):
    """Returns a task that reads its data when something looks at it: `unread` is a list of what an
    `Unread` has."""
    task = _new(Task)
    task._unread = unread
    task.metadata = metadata
    task.dataset_name = dataset_name
    task.id = identity
    return task


def data_of(task):
    """Returns the data of a `Task`, as an `Unread` where nothing has looked at it."""
    unread = task._unread
    return task._data if unread is None else Unread(unread[:3])
