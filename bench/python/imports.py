"""A stage whose file imports what takes long."""

import pandas
import pyarrow


class Together:
    """Gives a task on once as many workers as are to be have one: all are there at once."""

    def __init__(self, folder, count):
        self.folder, self.count = folder, count

    def process(self, task):
        import os
        import time

        open(os.path.join(self.folder, str(os.getpid())), "w").close()
        until = time.monotonic() + 120
        while len(os.listdir(self.folder)) < self.count and time.monotonic() < until:
            time.sleep(0.01)
        return task


class Imported:
    def setup(self):
        self.names = [pandas.__name__, pyarrow.__name__]

    def process(self, task):
        return task
