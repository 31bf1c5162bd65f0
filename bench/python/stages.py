"""Stages of the measurements and of the soak."""

import os
import signal
import time
import zlib


class Same:
    """Gives back what it gets, once it has looked at that."""

    def process(self, task):
        task.data  # noqa: B018
        return task


class Work:
    """Gives back what a function of `works.py` makes of it."""

    def __init__(self, work):
        self.work = work

    def setup(self):
        # Those that have no need of it do not wait for it.
        import works

        self.work = getattr(works, self.work)

    def process(self, task):
        return self.work(task.data)


class Timed(Work):
    """The same, and notes the seconds that the work takes behind those of the stages before."""

    def process(self, task):
        begun = time.perf_counter()
        task.data = super().process(task)
        task.metadata.setdefault("own", []).append(time.perf_counter() - begun)
        return task


class Sleep:
    """Takes as many seconds as the task says for this stage, and no processor time."""

    def __init__(self, stage):
        self.stage = stage

    def process(self, task):
        time.sleep(task.data[self.stage])
        return task


class Burn:
    """Like `Sleep`, but uses processor time."""

    def __init__(self, stage):
        self.stage = stage

    def process(self, task):
        end = time.process_time() + task.data[self.stage]
        while time.process_time() < end:
            pass
        return task


class Seal:
    """Puts a checksum of the bytes behind them, or dies of it where it is told to."""

    def process(self, task):
        if task.metadata.get("deadly"):
            os.kill(os.getpid(), signal.SIGKILL)
        return task.data + zlib.crc32(task.data).to_bytes(4, "little")
