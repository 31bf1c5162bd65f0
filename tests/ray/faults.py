"""Stages that wait in the middle of their work, so that something can happen to them."""

import os
import sys
import time


class Hold:
    """Notes its process and its parent, and waits with the first tasks until it may go on."""

    def __init__(self, folder):
        self.folder = folder

    def note(self, kind, name, text=""):
        path = os.path.join(self.folder, f"{kind}-{name}")
        new = os.path.join(self.folder, f"new-{os.getpid()}")
        with open(new, "w") as file:
            file.write(text)
        os.rename(new, path)

    def setup_on_node(self, context):
        self.note("node", f"{context.node}-{os.urandom(4).hex()}")

    def setup(self, context):
        self.node = context.node

    def process(self, task):
        self.note("held", os.getpid(), f"{os.getppid()} {self.node}")
        while not os.path.exists(os.path.join(self.folder, "go")):
            time.sleep(0.02)
        return {"number": task.data, "node": self.node, "prefix": sys.prefix}

    def teardown(self):
        self.note("teardown", os.getpid())


class Busy(Hold):
    """Goes on with its tasks, and takes its time to end."""

    def process(self, task):
        self.note("held", os.getpid(), f"{os.getppid()} {self.node}")
        time.sleep(0.01)
        return {"number": task.data}

    def teardown(self):
        # The end of the run waits for it.
        time.sleep(3)
