"""The stages of the examples, tested in plain Python: no worker, no environment, no Rust.

PYTHONPATH=crates/backends/python python3 -m unittest discover crates/curator/examples
"""

import sys
import types
import unittest
from unittest import mock

from curator_stage import Task
from stages import AsciiName, RecordPackagingVersion


class TestStages(unittest.TestCase):
    def test_the_version_is_noted_under_the_key(self):
        packaging = types.SimpleNamespace(__version__="1.2.3")
        with mock.patch.dict(sys.modules, packaging=packaging):
            task = RecordPackagingVersion(key="here").process(Task({"text": "hello"}))
        self.assertEqual(task.data, {"text": "hello", "here": "1.2.3"})

    def test_the_name_is_written_in_plain_letters(self):
        stage = AsciiName()
        stage.unidecode = {"Reykjavík": "Reykjavik"}.get
        self.assertEqual(stage.process(Task({"name": "Reykjavík"})).data["ascii"], "Reykjavik")


if __name__ == "__main__":
    unittest.main()
