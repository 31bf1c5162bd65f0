"""What this package has in common with the workers: their own files, under their own names.

In a worker these modules are there already, and are taken from there, so that a `Task` is of one
class everywhere. In the sources they are links to the workers' files; a wheel has the files.
"""

import importlib
import importlib.util
import os
import sys
import threading
from types import ModuleType
from typing import Any

__all__ = ["shared"]

_importing = threading.RLock()


def shared(name: str) -> ModuleType:
    """The module of that name, of the worker's or of this package."""
    with _importing:
        found = sys.modules.get(name)
        return _import(name) if found is None else found


def _import(name: str) -> ModuleType:
    if "curator_worker" in os.path.basename(sys.argv[0] if sys.argv else ""):
        return importlib.import_module(name)
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), f"{name}.py")
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"the package is damaged: {path} cannot be imported")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    loader: Any = spec.loader
    loader.exec_module(module)
    return module
