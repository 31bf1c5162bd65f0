"""Brings a stage that was made in another Python process into a worker.

The engine runs this file as the code of the stage. It must not import anything of the package
before that is there: a base, or a node of a cluster, may not have it.
"""

import base64
import importlib.abc
import importlib.machinery
import importlib.util
import json
import sys
import zlib
from typing import Any


class Brought(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """The package `curator`, from its sources."""

    def __init__(self, sources: "dict[str, str]") -> None:
        self._sources = sources

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        if name not in self._sources:
            return None
        is_package = f"{name}.__init__" in self._sources
        return importlib.util.spec_from_loader(name, self, is_package=is_package)

    def create_module(self, spec: Any) -> Any:
        return None

    def exec_module(self, module: Any) -> None:
        name = module.__name__
        code = compile(self._sources[name], f"<curator>/{name}.py", "exec")
        exec(code, module.__dict__)


def is_installed(front: str) -> bool:
    """Whether the environment has just this package, by its front page, which has the version."""
    spec = importlib.machinery.PathFinder.find_spec("curator")
    if spec is None or not spec.origin:
        return False
    try:
        with open(spec.origin, encoding="utf-8") as file:
            return file.read() == front
    except (OSError, ValueError):
        return False


def _check_own(name: str, path: "list[str]") -> None:
    """Refuses a module of an environment that would take the place of the user's own."""
    try:
        spec = importlib.util.find_spec(name)
    except ValueError:  # It is loaded, and tells nothing of itself.
        return
    if spec is None or spec.origin is None:
        return
    # A worker's own file, on its path.
    code: Any = importlib.import_module("curator_code")
    files = (code.module_file(folder, name) for folder in path)
    file = next((file for file in files if file is not None), None)
    if file is not None and not code.is_same_module(spec.origin, file):
        raise ImportError(
            f"the stage uses your module `{name}`, {file}, and its environment has one of that"
            f" name, {spec.origin}, which comes first in a worker: give yours another name, or"
            " install it in place (`pip install -e`)"
        )


class Stage:
    """Stands for the instance of a stage: what is made of it is that."""

    def __new__(
        cls,
        stage: str,
        python: "list[int]",
        path: "list[str]",
        own: "list[str]",
        front: str,
        package: str,
        **_: str,
    ) -> Any:
        # Modules of the user's that lie beside the program, after all that the environment has.
        sys.path.extend(folder for folder in path if folder not in sys.path)
        for name in own:
            _check_own(name, path)
        if not is_installed(front):
            sources = json.loads(zlib.decompress(base64.b64decode(package)))
            sys.meta_path.insert(0, Brought(sources))
        from curator import _pickle

        # A worker's own file, on its path.
        objects: Any = importlib.import_module("curator_objects")
        objects.use(_pickle.dumps, _pickle.loads, _pickle.dumps_exception)
        try:
            return _pickle.loads(base64.b64decode(stage))
        except Exception as error:
            here = list(sys.version_info[:2])
            if python != here:
                theirs, ours = (".".join(map(str, version)) for version in (python, here))
                raise ImportError(
                    f"the stage comes from Python {theirs}, and its environment is of Python"
                    f" {ours}, which cannot read its code: use a base of the program's own version,"
                    " or put the stage's class into a module that both can import"
                ) from error
            raise
