"""JSON that a stage has not looked at yet.

A stage that passes a task on without a look at its data passes on the text that came: Python's
floats have fewer digits than JSON may have, and its dicts no key twice.
"""

from curator_stage import Task

__all__ = ["Unread", "data_of", "read_by", "task_of"]

_new = Task.__new__


class Unread(tuple):
    """The text of a task's data at which nothing has looked, as an output: its only item."""

    __slots__ = ()


def read_by(read):
    """Has tasks read their data with this function when something looks at it."""

    def look(task):
        unread = task._unread
        if unread is None:  # Another thread has looked meanwhile.
            return task._data
        data = read(unread[0])
        # What the first of several threads has read is what all get.
        unread.append(data)
        if unread[1] is not data:
            return unread[1]
        task._data = data
        task._unread = None
        return data

    Task._read = staticmethod(look)


def task_of(text, metadata, dataset_name, identity):
    """Returns a task that reads its data from this text when something looks at it."""
    task = _new(Task)
    task._unread = [text]
    task.metadata = metadata
    task.dataset_name = dataset_name
    task.id = identity
    return task


def data_of(task):
    """Returns the data of a `Task`, as an `Unread` where nothing has looked at it."""
    unread = task._unread
    return task._data if unread is None else Unread(unread[:1])
