"""The user's own files that a stage's code may run, followed from file to file.

As for the stages of a pipeline file, a module counts if its name stands anywhere in what counts
already: in an `import`, in an argument of `importlib.import_module`, or by chance, which costs at
most a needless refusal. Nothing is imported to find out.
"""

import hashlib
import os
import re
import sys
from collections.abc import Iterable
from typing import Optional

from curator._folders import own_folders

__all__ = ["Sources"]

_WORD = re.compile(r"\w+")
_IMPORTED = re.compile(r"\b(?:from|import)\s+(\w+)")
_CODE = (".py", ".so")


class _File:
    """What a file of code holds: its digest, all names in it, and those that it imports."""

    def __init__(self, path: str) -> None:
        with open(path, "rb") as file:
            content = file.read()
        self.digest = hashlib.sha256(content).hexdigest()
        text = content.decode("utf-8", "replace") if path.endswith(".py") else ""
        self.words = frozenset(_WORD.findall(text))
        self.imported = frozenset(_IMPORTED.findall(text))


class Sources:
    """The files in the user's own folders, each read once for all stages of a pipeline."""

    def __init__(self) -> None:
        self.folders = own_folders()
        self._files: dict[str, _File] = {}
        self._listings: dict[str, list[tuple[str, str]]] = {}
        program = getattr(sys.modules.get("__main__"), "__file__", None)
        # What stages take from the program itself is in their pickles.
        self._program = os.path.realpath(program) if program else None

    def named_by(self, words: Iterable[str], files: Iterable[str]) -> list[tuple[str, str]]:
        """The names and digests of the files that these words and files lead to, in order."""
        walk = _Walk(self, words)
        for file in files:
            walk.take(file, os.path.basename(file))
        walk.close()
        return sorted(walk.digests)

    def file(self, path: str) -> Optional[_File]:
        if path not in self._files:
            try:
                self._files[path] = _File(path)
            except OSError:
                return None  # The worker tells, if it needs it.
        return self._files[path]

    def modules_in(self, folder: str) -> list[tuple[str, str]]:
        """The names of what may be imported from a folder, and where that is."""
        if folder not in self._listings:
            try:
                entries = sorted(os.listdir(folder))
            except OSError:
                entries = []
            found = [(entry.partition(".")[0], os.path.join(folder, entry)) for entry in entries]
            self._listings[folder] = [
                (name, path)
                for name, path in found
                # Workers have this package whole.
                if name not in ("curator", "__pycache__")
                and (path.endswith(_CODE) or ("." not in path[len(folder) :] and _is_folder(path)))
            ]
        return self._listings[folder]

    def is_program(self, path: str) -> bool:
        return os.path.realpath(path) == self._program


class _Walk:
    """The files that count for one stage so far, and the places of more."""

    def __init__(self, sources: Sources, words: Iterable[str]) -> None:
        self.digests: set[tuple[str, str]] = set()
        self._sources = sources
        self._words = set(words)
        self._imported: set[str] = set()
        self._taken: set[str] = set()
        self._folders: set[str] = set()
        # Modules that no word has named yet: their name, path and shown name.
        self._left: list[tuple[str, str, str]] = []
        for folder in sources.folders:
            self._add_folder(folder, "")

    def _add_folder(self, folder: str, shown: str) -> None:
        if folder not in self._folders:
            self._folders.add(folder)
            for name, path in self._sources.modules_in(folder):
                self._left.append((name, path, f"{shown}{os.path.basename(path)}"))

    def close(self) -> None:
        """Follows names until they lead to nothing more."""
        named = True
        while named:
            places, self._left = self._left, []
            named = False
            for name, path, shown in places:
                known = self._imported if self._sources.is_program(path) else self._words
                if name not in known:
                    self._left.append((name, path, shown))
                    continue
                named = True
                if path.endswith(_CODE):
                    self.take(path, shown)
                else:
                    self._take_package(path, shown)

    def take(self, path: str, shown: str) -> None:
        found = None if path in self._taken else self._sources.file(path)
        if found is not None:
            self._taken.add(path)
            self.digests.add((shown, found.digest))
            self._words |= found.words
            self._imported |= found.imported

    def _take_package(self, folder: str, shown: str) -> None:
        """Counts a package as a whole, since it may search for its modules itself; in another
        folder, only the modules that are named count."""
        self._add_folder(folder, f"{shown}/")
        if not os.path.isfile(os.path.join(folder, "__init__.py")):
            return
        for _, path in self._sources.modules_in(folder):
            below = f"{shown}/{os.path.basename(path)}"
            if not path.endswith(_CODE):
                is_package = os.path.isfile(os.path.join(path, "__init__.py"))
                if is_package and path not in self._folders:
                    self._take_package(path, below)
            elif not self._sources.is_program(path):
                self.take(path, below)


def _is_folder(path: str) -> bool:
    """Whether it is a folder that modules may be in: no environment is."""
    return os.path.isdir(path) and not os.path.exists(os.path.join(path, "pyvenv.cfg"))
