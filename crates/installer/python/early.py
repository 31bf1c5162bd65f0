"""Starts pip before the environment that it is for has its packages.

`early.py INDEX WORD...`: the words are those after the interpreter on pip's own command line, and
the one at the index is the program. The interpreter is started with `-S`: its site folder is still
being filled, so what `site` does at the start of each interpreter is done once a byte comes on
standard input. Until then it imports what pip is going to need; at the end of the input it ends.
Where an ordinary start might have come out otherwise, it makes one in its place.

Standard output is what is to be standard input then, and output goes where errors go.
"""

import os
import sys

position, words = int(sys.argv[1]), sys.argv[2:]
entry = words[position]
hold = os.dup(1)
os.dup2(2, 1)

# These look at `sys.path` or at other modules when they are imported.
HASTY = {"distutils", "pip._vendor.pkg_resources", "pkg_resources", "setuptools"}

# rich looks for it to print its objects, of which pip has none.
HARMLESS = {"attr"}

missed = set()


class Missed:
    """The last of the finders: it hears of modules that are not there yet."""

    @staticmethod
    def find_spec(name, path=None, target=None):
        if path is None:
            missed.add(name)


class OfThisPip:
    """Finds pip where the program is, as that itself does."""

    @staticmethod
    def find_spec(name, path=None, target=None):
        if name == "pip":
            from importlib.machinery import PathFinder

            return PathFinder.find_spec(name, [os.path.dirname(os.path.dirname(entry))], target)


def enter():
    """Has the interpreter know its environment, and leaves the folders of packages for later."""
    import site

    add = site.addsitepackages
    site.addsitepackages = lambda known, prefixes=None: known
    try:
        site.venv(set())
    finally:
        site.addsitepackages = add
    return site


def imports():
    """Imports what pip needs to install; tells whether that may stay."""
    sys.meta_path.insert(0, OfThisPip)
    sys.meta_path.append(Missed)
    try:
        import pip._internal.cli.main
        import pip._internal.commands.install
        import pip._internal.resolution.resolvelib.resolver  # noqa: F401
        from pip._vendor import distro

        # pip tells indexes what it runs on; it is found out by starting programs, and kept.
        distro.name(), distro.version(), distro.codename()
    finally:
        sys.meta_path.remove(OfThisPip)
        sys.meta_path.remove(Missed)
    return not HASTY & set(sys.modules)


def is_run_at_start(folder, name):
    """Whether a file of a site folder runs code when an interpreter starts."""
    if name.endswith(".start"):
        return True
    if not name.endswith(".pth"):
        return False
    with open(os.path.join(folder, name), "rb") as file:
        lines = file.read().splitlines()
    # The line of setuptools only puts a finder in place, for a module that pip does not import.
    known = name == "distutils-precedence.pth" and len(lines) == 1
    known = known and b"__import__('_distutils_hack').add_shim()" in lines[0]
    return not known and any(line.startswith((b"import ", b"import\t")) for line in lines)


def is_as_ever(site):
    """Whether an interpreter that starts now would have imported the same."""
    import importlib
    from importlib.machinery import PathFinder

    importlib.invalidate_caches()
    folders = [folder for folder in site.getsitepackages() if os.path.isdir(folder)]
    if any(is_run_at_start(folder, name) for folder in folders for name in os.listdir(folder)):
        return False
    path = [*sys.path, *folders]
    looked_for = {*missed, "sitecustomize"} - HARMLESS - set(sys.modules)
    return all(PathFinder.find_spec(name, path) is None for name in looked_for)


try:
    site = enter()
    is_ready = imports()
except Exception:
    is_ready = False
if not os.read(0, 1):
    sys.exit(1)
os.dup2(hold, 0)
os.close(hold)
try:
    is_ready = is_ready and is_as_ever(site)
except Exception:
    is_ready = False
if not is_ready:
    os.execv(sys.executable, [sys.executable, *words])
site.main()
sys.argv[:] = words[position:]
import runpy  # noqa: E402

runpy.run_path(entry, run_name="__main__")
