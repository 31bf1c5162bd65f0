"""The Python stages of the conformance cases."""

import os
import signal
import subprocess
import sys
import time


class Look:
    """Notes under `key` what this environment shows of `packaging`, and some of its variables."""

    def __init__(self, key, base_module, variables=()):
        self.key, self.base_module, self.variables = key, base_module, variables

    def process(self, task):
        import importlib.metadata

        import packaging

        __import__(self.base_module)
        found = [
            found.version
            for found in importlib.metadata.distributions()
            if (found.metadata["Name"] or "").lower() == "packaging"
        ]
        child = subprocess.run(
            ["python", "-c", "import packaging; print(packaging.__version__)"],
            capture_output=True,
            text=True,
            check=True,
        )
        task.data[self.key] = {
            "module": packaging.__version__,
            "metadata": importlib.metadata.version("packaging"),
            "found": found,
            "child": child.stdout.strip(),
            "prefix": sys.prefix,
            "variables": {name: os.environ.get(name) for name in self.variables},
        }
        return task


class Hooks:
    """Notes each hook that runs, with the version of `packaging` that it sees."""

    def __init__(self, folder):
        self.notes = os.path.join(folder, "notes")

    def note(self, line):
        with open(self.notes, "a") as file:
            file.write(line + "\n")

    def setup_on_node(self):
        self.note("setup_on_node")

    def setup(self):
        self.note("setup")

    def process(self, task):
        return task

    def teardown(self):
        self.note("teardown")


class Range:
    """Makes of the number n as many tasks, and none of 0."""

    def process(self, task):
        return [{"n": number, "of": task.id} for number in range(task.data["n"])]


class Increment:
    def process(self, task):
        task.data["n"] += 1
        return task


class Sum:
    """Makes one task of each batch."""

    def process_batch(self, tasks):
        from curator_stage import Aggregate

        return Aggregate([{"sum": sum(task.data["n"] for task in tasks), "count": len(tasks)}])


class Reverse:
    """Turns bytes round."""

    def process(self, task):
        return bytes(task.data[::-1])


class Double:
    """Makes two of a table: itself, and one of its columns in another order and back."""

    def __init__(self, has_pyarrow):
        if not has_pyarrow:
            # Nothing finds it any more; where the base has none, there is nothing to find.
            sys.modules["pyarrow"] = None

    def process(self, task):
        table = task.data
        assert table.column_names == ["n", "text"], table.column_names
        more = table.append_column("more", table.column("n"))
        texts = ["text" if row % 2 == 0 else None for row in range(len(table) - 1)] + ["text"]
        found = table.column("text").to_pylist()
        assert found in (texts, texts[-1:] + texts[:-1]), found
        return [table, more.select(["more", "text", "n"]).select(["n", "text"])]


class Pass:
    def process(self, task):
        return task


class Fail:
    """Raises on the numbers in `raises`, and dies on those in `dies`."""

    def __init__(self, raises=(), dies=()):
        self.raises, self.dies = raises, dies

    def process(self, task):
        if task.data["n"] in self.raises:
            raise ValueError(f"no luck with {task.data['n']}")
        if task.data["n"] in self.dies:
            print("about to die")
            sys.stdout.flush()
            time.sleep(0.05)
            os.kill(os.getpid(), signal.SIGKILL)
        return task


class NoSetup:
    def setup(self):
        raise RuntimeError("the model is missing")

    def process(self, task):
        return task


class Exact:
    """Gives back what it gets, and checks that its arguments are what was written."""

    def __init__(self, **args):
        given = list(args.items())
        assert given == [("a", 1e-5), ("A", 123456789012345678901234567890)], given

    def process(self, task):
        # What it does not look at is not written anew.
        assert task.data is not None
        return task


class Declares:
    runtime_env = {"env_vars": {"COLOUR": "red"}}  # noqa: RUF012
    batch_size = 7

    def process(self, task):
        task.data["colour"] = os.environ.get("COLOUR")
        return task


class Forgets:
    def process(self, task):
        task.data["n"] += 1
