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
from curator._folders import own_folders, package_folder, user_site
from curator._imported import file_of, own_roots, roots_of
from curator._pickle import dumps_stage, unsendable
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
    is_here: bool = True,
) -> list[dict[str, Any]]:
    """The stages of a pipeline file, with names that differ. A checkpoint needs digests of them,
    for which all files of their code are read. `is_here` says that stages without packages of their
    own run in the environment of this program."""
    named = zip(stages, names_of(stages))
    sources = Sources() if with_digests else None
    made = [_entry(stage, name, is_remote, is_quiet, sources, is_here) for stage, name in named]
    if with_preloads:
        add_preloads(stages, made)
    return [entry for entry, _ in made]


def _entry(
    stage: Any,
    name: str,
    is_remote: bool,
    is_quiet: bool,
    sources: Optional[Sources],
    is_here: bool,
) -> tuple[dict[str, Any], list[str]]:
    """A stage's entry, and the modules that its worker imports to read it."""
    try:
        pickled, modules, codes = dumps_stage(stage, with_module=is_remote)
    except Exception as error:
        part = unsendable(stage)
        which = f"its `{part}`: " if part else ""
        raise PipelineError(
            f"stage {name!r} cannot be sent to a worker: {which}{type(error).__name__}: {error}",
            hint="open files, sockets, locks and the like in `setup`, which runs in the worker",
            stage=name,
        ) from error
    roots = roots_of(modules, codes)
    for root in roots:
        _check_module(name, root)
    try:
        settings = settings_of(stage, is_quiet=is_quiet)
        json.dumps(settings)
    except (TypeError, ValueError) as error:
        raise PipelineError(f"the settings of stage {name!r}: {error}", stage=name) from error
    if is_here and not settings.get("runtime_env"):
        _check_user_site(name, roots)
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
            "own": [] if is_remote else own_roots(roots),
            "front": front,
            "package": package,
        },
        **settings,
    }
    return entry, modules


def _check_module(stage: str, root: str) -> None:
    """Refuses a module of the user's in whose place a worker would import another one."""
    if root in _standard() and own_roots([root]):
        raise PipelineError(
            f"stage {stage!r} uses your module `{root}` ({file_of(root)}), and Python has a module"
            " of that name, which comes first in a worker",
            hint="give the file another name",
            stage=stage,
        )


def _check_user_site(stage: str, roots: list[str]) -> None:
    """Refuses a package of the user site: a worker has none, for it is no part of a base."""
    folder = user_site()
    for root in roots if folder else ():
        file = file_of(root)
        if file and file.startswith(f"{folder}{os.sep}") and root != "curator":
            raise PipelineError(
                f"stage {stage!r} uses `{root}` from the user site ({file}), which no worker sees",
                hint="install it into the environment that this program runs in, such as a"
                " virtualenv, or name its package in the stage's `runtime_env`",
                stage=stage,
            )


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
