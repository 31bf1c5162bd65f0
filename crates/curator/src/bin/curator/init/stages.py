"""Stages of the pipeline: classes with `process`, or functions, all of them plain Python."""


def describe(task):
    """Counts letters. It needs no package, and runs in the base environment."""
    task.data["letters"] = len(task.data["city"])
    return task


class PlainLetters:
    """Writes some fields in plain letters; needs `unidecode`."""

    def __init__(self, fields):
        self.fields = fields

    def setup(self):  # once in each worker process
        from unidecode import unidecode

        self.unidecode = unidecode

    def process(self, task):  # a value, a task, a list of them, or None to drop it
        for field in self.fields:
            task.data[f"plain_{field}"] = self.unidecode(task.data[field])
        return task


class Slug:
    """Makes a name for a file; needs `python-slugify`."""

    def setup(self):
        from slugify import slugify

        self.slugify = slugify

    def process(self, task):
        task.data["slug"] = self.slugify(task.data["plain_city"])
        return task
