"""Stages of the examples. They run in workers, and as well in plain Python: see test_stages.py."""


class RecordPackagingVersion:
    """Notes the version of `packaging` that this stage sees."""

    def __init__(self, key):
        self.key = key

    def process(self, task):
        import packaging

        task.data[self.key] = packaging.__version__
        return task


class AsciiName:
    """Writes the name in plain letters; needs `unidecode`."""

    def setup(self):
        from unidecode import unidecode

        self.unidecode = unidecode

    def process(self, task):
        task.data["ascii"] = self.unidecode(task.data["name"])
        return task
