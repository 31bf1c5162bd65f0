"""Stages of the end-to-end tests: they look around in their environment, and lay hands on it."""

import importlib
import importlib.metadata
import os
import subprocess
import sys


def _seen(name):
    try:
        module = importlib.import_module(name)
    except ImportError:
        return None
    visible = [
        distribution.version
        for distribution in importlib.metadata.distributions()
        if distribution.metadata["Name"].lower().replace("_", "-") == name.replace("_", "-")
    ]
    return {
        "module": getattr(module, "__version__", None),
        "metadata": importlib.metadata.version(name),
        "visible": visible,
    }


class Versions:
    """Notes in which version each of some packages is seen: by import, by metadata, by listing."""

    def __init__(self, key, names):
        self.key = key
        self.names = names

    def process(self, task):
        task.data[self.key] = {name: _seen(name) for name in self.names}
        return task


class Children:
    """Notes the prefix and the `packaging` that interpreters started by a stage see."""

    CODE = "import sys, packaging; print(sys.prefix, packaging.__version__)"

    def __init__(self, key):
        self.key = key

    def process(self, task):
        seen = []
        for program in (sys.executable, "python", "python3"):
            command = [program, "-c", self.CODE]
            seen.append(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        task.data[self.key] = [sys.prefix, *(line.split() for line in seen)]
        return task


class Vandal:
    """Does to its own environment whatever programs do to theirs, and then some."""

    def __init__(self, installer, edits_in_place):
        self.installer = installer
        self.edits_in_place = edits_in_place

    def process(self, task):
        import tqdm

        folder = os.path.dirname(tqdm.__file__)
        inside = [name for name in os.listdir(folder) if name.endswith(".py")]
        done = {"prefix": sys.prefix, "modules": len(inside)}
        self._replace_and_remove_files(folder)
        if self.edits_in_place:
            for path in (os.path.join(folder, "cli.py"), os.path.join(folder, "gui.py")):
                os.chmod(path, 0o600)
                with open(path, "a") as file:
                    file.write("# edited\n")
        # What the base has: one is removed, one replaced.
        for arguments in (["uninstall", "six"], ["install", "idna==3.6"]):
            self._run_installer(arguments)
        # A fresh interpreter compiles what it imports.
        code = "import packaging.version, tqdm, idna; print(idna.__version__)"
        command = [sys.executable, "-c", code]
        done["idna"] = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        task.data.update(done)
        return task

    @staticmethod
    def _replace_and_remove_files(folder):
        path = os.path.join(folder, "__init__.py")
        with open(path) as file:
            text = file.read()
        with open(path + ".new", "w") as file:
            file.write(text + "\n# replaced\n")
        os.replace(path + ".new", path)
        os.remove(os.path.join(folder, "keras.py"))
        os.rename(os.path.join(folder, "dask.py"), os.path.join(folder, "moved.py"))
        with open(os.path.join(folder, "added.py"), "w") as file:
            file.write("ADDED = 1\n")

    def _run_installer(self, arguments):
        if self.installer == "pip":
            sure = ["-y"] if arguments[0] == "uninstall" else ["--force-reinstall", "--no-deps"]
            command = [sys.executable, "-m", "pip", *arguments, *sure]
        else:
            command = [self.installer, "pip", *arguments, "--python", sys.executable]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(f"{command}: {done.stdout}{done.stderr}")
