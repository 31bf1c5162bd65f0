"""What imports depend on beside the modules that they make: files that they read, or looked for and
did not find, folders that they listed, and modules that were not there.
"""

import os
import sys

__all__ = ["Watch", "names_in", "packages_in"]

# What the system makes up when it is read.
_VOLATILE = ("/dev/", "/proc/", "/sys/")
# What tells of an installed package, and the code that lists the folders of the path for it.
_INSTALLED = (".dist-info", ".egg-info", ".egg-link", ".egg")
_OF_PACKAGES = tuple(
    os.path.join("", *parts, "")
    for parts in (("importlib", "metadata"), ("importlib_metadata",), ("pkg_resources",))
)
_ACCESS = os.O_WRONLY | os.O_RDWR


class Watch:
    """Hears of what imports do between `begin` and `end`. One is made once for a process, and forks
    of it have the same one: a hook cannot be taken away."""

    def __init__(self):
        self.files = set()
        self.folders = set()
        self.package_folders = set()
        self._searched = set()
        self._is_heard = self._is_on = False

    def begin(self):
        if not self._is_heard:
            sys.addaudithook(self._hear)
            self._is_heard = True
        # It is asked first for every module, and has none.
        sys.meta_path.insert(0, self)
        self._is_on = True

    def end(self):
        self._is_on = False
        sys.meta_path[:] = [finder for finder in sys.meta_path if finder is not self]

    def missing(self):
        """The modules that were looked for and are not there, with the folders of the package that
        they would be in: None for the path itself."""
        return {pair for pair in self._searched if pair[0] not in sys.modules}

    def find_spec(self, name, path=None, target=None):
        if self._is_on:
            try:
                self._searched.add((name, None if path is None else tuple(path)))
            except TypeError:
                pass  # A finder with a path of its own kind.
        return None

    def _hear(self, event, args):
        if not self._is_on:
            return
        if event == "open":
            # One that is only written says nothing.
            if not isinstance(args[2], int) or args[2] & _ACCESS != os.O_WRONLY:
                self._add(self.files, args[0])
        elif event in ("os.listdir", "os.scandir"):
            lister = sys._getframe(1).f_code.co_filename
            # Python's own search for modules says what it looks for.
            if not lister.startswith("<frozen importlib"):
                is_of_packages = any(name in lister for name in _OF_PACKAGES)
                to = self.package_folders if is_of_packages else self.folders
                self._add(to, "." if args[0] is None else args[0])

    def _add(self, to, path):
        if isinstance(path, bytes):
            path = os.fsdecode(path)
        if isinstance(path, str):
            path = os.path.abspath(path)
            if not path.startswith(_VOLATILE) and not path.endswith(".pyc"):
                to.add(path)


def names_in(folder):
    """What a listing of a folder says, but for what Python itself writes there."""
    return _names(folder, lambda name: name != "__pycache__")


def packages_in(folder):
    """What a listing of a folder says of the packages that are installed in it."""
    return _names(folder, lambda name: name.endswith(_INSTALLED))


def _names(folder, is_wanted):
    try:
        return sorted(name for name in os.listdir(folder) if is_wanted(name))
    except OSError:
        return None
