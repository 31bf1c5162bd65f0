"""Where the program `curator` is, and its processes."""

import os
import shutil
import subprocess
import sys
import sysconfig
from typing import Any, Optional, Union

from curator._errors import EngineError

__all__ = ["Folder", "call", "program", "start"]

Folder = Union[str, "os.PathLike[str]"]


# While a module is imported there is one thread here: `sysconfig` takes no care of several.
_SCRIPTS = sysconfig.get_path("scripts")
_USER_SCRIPTS = [
    sysconfig.get_path("scripts", scheme)
    for scheme in (f"{os.name}_user",)
    if scheme in sysconfig.get_scheme_names()
]


def program() -> str:
    """The program that came with this package; `$CURATOR_PROGRAM` names another one."""
    named = os.environ.get("CURATOR_PROGRAM")
    if named:
        # A relative path would be another one for a child in another folder.
        return os.path.abspath(named) if os.sep in named else named
    folders = [_SCRIPTS, os.path.join(sys.prefix, "bin")]
    # As `pip install --user` and `--target` lay it out.
    package = os.path.dirname(os.path.abspath(__file__))
    folders.append(os.path.join(os.path.dirname(package), "bin"))
    folders += _USER_SCRIPTS
    for folder in folders:
        path = os.path.join(folder, "curator")
        if os.access(path, os.X_OK):
            return path
    found = shutil.which("curator")
    if found is None:
        raise EngineError(
            "the program `curator` is not where this package is installed",
            hint="install the wheel anew, or name the program in $CURATOR_PROGRAM",
        )
    return os.path.abspath(found)


def start(socket: Any, cache_dir: Optional[Folder]) -> "subprocess.Popen[bytes]":
    """The program, serving the other end of a socket.

    In a session of its own, so that Ctrl-C is this process's to hear and to pass on.
    """
    options: list[Folder] = [] if cache_dir is None else ["--cache-dir", cache_dir]
    path = program()
    # Workers get the folders that it names from the loader, and would not read it.
    variables = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    try:
        return subprocess.Popen(
            [path, *options, "serve"],
            env=variables,
            stdin=socket,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )
    except OSError as error:
        raise EngineError(f"the program `{path}` cannot be started: {error}") from error


def call(arguments: list[str], text: str = "") -> str:
    """What a command of the program prints."""
    done = subprocess.run(
        [program(), *arguments],
        input=text,
        capture_output=True,
        text=True,
    )
    if done.returncode != 0:
        # Before the error stands what was done until then.
        _, mark, told = f"\n{done.stderr}".partition("\nerror: ")
        message, _, hint = (told if mark else done.stderr).strip().partition("\n\nhint: ")
        from curator._errors import NoEnvironmentError

        raise NoEnvironmentError(message, hint=hint or None)
    return done.stdout
