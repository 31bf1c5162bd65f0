"""Stages as entries of a pipeline file: the pickled instance is an argument of the loader."""

import base64
import functools
import json
import os
import sys
import zlib
from pathlib import Path
from typing import Any, Optional

from curator._digest import digest
from curator._errors import PipelineError
from curator._folders import own_folders, package_folder
from curator._pickle import dumps_stage, is_own, unsendable
from curator._preload import add_preloads
from curator._sources import Sources
from curator._stage import names_of, settings_of

__all__ = ["entries"]


def entries(
    stages: list[Any],
    *,
    is_remote: bool,
    is_quiet: bool = False,
    with_preloads: bool = True,
    with_digests: bool = False,
) -> list[dict[str, Any]]:
    """The stages of a pipeline file, with names that differ. A checkpoint needs digests of them,
    for which all files of their code are read."""
    named = zip(stages, names_of(stages))
    sources = Sources() if with_digests else None
    made = [_entry(stage, name, is_remote, is_quiet, sources) for stage, name in named]
    if with_preloads:
        add_preloads(stages, made)
    return [entry for entry, _ in made]


def _entry(
    stage: Any, name: str, is_remote: bool, is_quiet: bool, sources: Optional[Sources]
) -> tuple[dict[str, Any], list[str]]:
    """A stage's entry, and the modules that its worker imports to read it."""
    try:
        pickled, modules = dumps_stage(stage, with_module=is_remote)
    except Exception as error:
        part = unsendable(stage)
        which = f"its `{part}`: " if part else ""
        raise PipelineError(
            f"stage {name!r} cannot be sent to a worker: {which}{type(error).__name__}: {error}",
            hint="open files, sockets, locks and the like in `setup`, which runs in the worker",
            stage=name,
        ) from error
    for module in modules:
        _check_module(name, module)
    try:
        settings = settings_of(stage, is_quiet=is_quiet)
        json.dumps(settings)
    except (TypeError, ValueError) as error:
        raise PipelineError(f"the settings of stage {name!r}: {error}", stage=name) from error
    source, front, package = _texts()
    entry = {
        "name": name,
        "python": "Stage",
        "source": source,
        "args": {
            **({} if sources is None else {"__digest__": digest(pickled, sources)}),
            "stage": base64.b64encode(pickled).decode(),
            "python": list(sys.version_info[:2]),
            "path": [] if is_remote else own_folders(),
            "own": [] if is_remote else _own_roots(modules),
            "front": front,
            "package": package,
        },
        **settings,
    }
    return entry, modules


def _check_module(stage: str, module: str) -> None:
    """Refuses a module of the user's in whose place a worker would import another one."""
    root = module.partition(".")[0]
    found = sys.modules.get(root)
    if found is not None and root in _standard() and is_own(found):
        raise PipelineError(
            f"stage {stage!r} uses your module `{root}` ({getattr(found, '__file__', None)}), and"
            " Python has a module of that name, which comes first in a worker",
            hint="give the file another name",
            stage=stage,
        )


def _own_roots(modules: list[str]) -> list[str]:
    """The user's own modules and packages among these, by their names at the top."""
    roots = {name.partition(".")[0] for name in modules}
    return sorted(root for root in roots if root in sys.modules and is_own(sys.modules[root]))


@functools.cache
def _standard() -> frozenset[str]:
    """The names of Python's own modules."""
    if sys.version_info >= (3, 10):
        return sys.stdlib_module_names
    folder = os.path.dirname(os.__file__)
    files = (name.partition(".")[0] for name in os.listdir(folder) if name.endswith(".py"))
    return frozenset((*files, *sys.builtin_module_names))


@functools.cache
def _texts() -> tuple[str, str, str]:
    """The sources of the loader, of the package's front page, and, packed, of all its modules.

    A stage may use whatever the package exports. What is shared comes from the worker's own files.
    """
    folder = Path(package_folder())
    sources: dict[str, str] = {}
    for path in sorted(folder.rglob("*.py")):
        parts = [*path.relative_to(folder).parent.parts, path.stem]
        if path.stem == "__init__":
            sources[".".join(["curator", *parts])] = ""
            parts.pop()
        elif parts[0] == "_shared":
            continue
        sources[".".join(["curator", *parts])] = path.read_text(encoding="utf-8")
    # A program waits for it, once.
    packed = zlib.compress(json.dumps(sources).encode(), 1)
    return sources["curator._bring"], sources["curator"], base64.b64encode(packed).decode()
