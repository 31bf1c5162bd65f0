"""JSON that a stage has not looked at yet.

A stage that passes a task on without a look at its data passes on the text that came: Python's
floats have fewer digits than JSON may have, and its dicts no key twice.
"""

from _thread import RLock

from curator_stage import Task

__all__ = ["Unread", "data_of", "task_of"]

_new, _data = Task.__new__, Task.data.__get__
# Two threads that look at the same time get the same value. The collector may run code within a
# look, and that may look, too.
_LOOKING = RLock()


class Unread(tuple):
    """JSON of a batch: what reads it, the number of the batch, its place in that, its text."""

    __slots__ = ()

    def read(self):
        return self[0](self[3])

    def read_into(self, task):
        """Returns the data of the task, which has it from now on."""
        with _LOOKING:
            if task._unread is None:
                return _data(task)
            task.data = data = self[0](self[3])
            task._unread = None
            return data


def task_of(unread, metadata, dataset_name, identity):
    """Returns a task that has its data when something looks at it."""
    task = _new(Task)
    task._unread = unread
    task.metadata = metadata
    task.dataset_name = dataset_name
    task.id = identity
    return task


def data_of(task):
    """Returns the data of a `Task` without a look: as an `Unread` as long as it is one."""
    try:
        return _data(task)
    except AttributeError:
        return task._unread or task.data
