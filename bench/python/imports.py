"""A stage whose file imports what takes long."""

import pandas
import pyarrow


class Imported:
    def setup(self):
        self.names = [pandas.__name__, pyarrow.__name__]

    def process(self, task):
        return task
