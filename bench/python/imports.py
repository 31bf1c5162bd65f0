"""Stages whose file imports what takes long."""

import pandas
import pyarrow

from together import Together

__all__ = ["Imported", "Together"]


class Imported:
    def setup(self):
        self.names = [pandas.__name__, pyarrow.__name__]

    def process(self, task):
        return task
