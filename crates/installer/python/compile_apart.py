"""Compile the Python files of folders into other folders: one argument, JSON.

What is imported first is compiled first: what the given programs import, then what that imports,
and so on; then the rest. Each file is written in one step, and what is there and fits is left, so
that a process that is killed has lost nothing. It gives way to other processes.
"""

import errno
import marshal
import os
import sys
from _imp import source_hash
from importlib.util import MAGIC_NUMBER, cache_from_source

# A file of Python's own kind: bytecode that is told by its source's hash (PEP 552). What follows it
# is a hash of the whole, by which a file that a crash cut short is found.
HEADER = MAGIC_NUMBER + (0b01).to_bytes(4, "little")
KEY = int.from_bytes(MAGIC_NUMBER, "little")
# Larger sources are data.
LONGEST = 8 << 20
# Of the standard library nothing imports these; packages have folders of their own.
LEFT_OUT = {"__pycache__", "site-packages", "dist-packages", "test", "idlelib", "lib2to3"}
# What no later file will fare better with.
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EROFS}
# Where this process writes a file that is not whole yet.
draft = ""


def sources(folder, to):
    """Modules below a folder: name, path, and where the bytecode goes."""
    waiting = [(folder, to, "")]
    while waiting:
        folder, to, package = waiting.pop()
        try:
            with os.scandir(folder) as found:
                entries = sorted(found, key=lambda entry: entry.name)
        except OSError:
            continue
        for entry in entries:
            name = entry.name
            try:
                if entry.is_dir(follow_symlinks=False):
                    if name not in LEFT_OUT and not name.endswith((".dist-info", ".egg-info")):
                        waiting.append((entry.path, os.path.join(to, name), package + name + "."))
                elif name.endswith(".py") and entry.is_file():
                    module = package[:-1] if name == "__init__.py" else package + name[:-3]
                    yield module, entry.path, os.path.join(to, name + "c")
            except OSError:
                continue


def read(path):
    with open(path, "rb", buffering=0) as file:
        return file.read()


def beside(path, found):
    """The bytecode that Python finds beside a source by its time and size, without the head.

    None if it is stale, or of another kind.
    """
    stamp = (int(found.st_mtime) & 0xFFFFFFFF).to_bytes(4, "little")
    size = (found.st_size & 0xFFFFFFFF).to_bytes(4, "little")
    try:
        with open(cache_from_source(path, optimization=""), "rb") as file:
            head = file.read(16)
            return file.read() if head == MAGIC_NUMBER + bytes(4) + stamp + size else None
    except OSError:
        return None


def keep(item):
    """Compiles a module unless it is: the names that it uses at its top, and the bytes it takes."""
    path, kept, wants_names = item
    try:
        found = os.stat(path)
        if found.st_size > LONGEST:
            return (), 0
        ready = beside(path, found)
        if ready is not None:
            return marshal.loads(ready).co_names if wants_names else (), 0
        try:
            there = os.stat(kept)
            # Its readers look whether it is whole and of this source.
            if there.st_mtime >= found.st_mtime and there.st_size > len(HEADER):
                names = marshal.loads(memoryview(read(kept))[16:]).co_names if wants_names else ()
                return names, there.st_size
        except (OSError, EOFError, TypeError, ValueError):
            pass
        source = read(path)
        code = compile(source, path, "exec", dont_inherit=True, optimize=0)
        data = HEADER + source_hash(KEY, source) + marshal.dumps(code)
        data += source_hash(KEY, data)
        # One for each process: what a killed one left is written over.
        with open(draft, "wb") as file:
            file.write(data)
        os.makedirs(os.path.dirname(kept), exist_ok=True)
        os.replace(draft, kept)
        return code.co_names, len(data)
    except (EOFError, MemoryError, RecursionError, SyntaxError, TypeError, ValueError):
        # Templates and files for another Python do not compile, and need not.
        return (), 0
    except OSError as error:
        if error.errno in FULL:
            raise
        return (), 0


def names_in(code):
    """All names in a program, as what it imports in functions is wanted soon too."""
    yield from code.co_names
    for constant in code.co_consts:
        if hasattr(constant, "co_names"):
            yield from names_in(constant)


def first_names(programs):
    for program in programs:
        try:
            text = program.get("text")
            if text is None:
                if not os.path.isfile(program["file"]):
                    continue
                text = read(program["file"])
            yield from names_in(compile(text, "program", "exec", dont_inherit=True))
        except (OSError, RecursionError, SyntaxError, ValueError):
            continue


def modules_of(name, importer, known):
    """The modules that a name in a module may mean, with all packages that they are in."""
    starts = [""]
    parts = importer.split(".") if importer else []
    starts.extend(".".join(parts[:count]) + "." for count in range(1, len(parts) + 1))
    for start in starts:
        if start + name in known:
            full = (start + name).split(".")
            for count in range(1, len(full) + 1):
                yield ".".join(full[:count])


def prepare(drafts, counter):
    global draft
    with counter.get_lock():
        counter.value += 1
        draft = os.path.join(drafts, f"draft-{counter.value}")


def work():
    # First, since the other imports take as long as compiling a dozen files. A process with only
    # idle time (`SCHED_IDLE`) would make no progress while the run keeps the machine busy.
    os.nice(19)
    import json
    import warnings
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    wanted = json.loads(sys.argv[1])
    os.umask(wanted["umask"])
    warnings.simplefilter("ignore")
    known = {}
    folders = [(folder, to) for folder, to in wanted["folders"]]
    folders.append((os.path.dirname(os.__file__), wanted["library"]))
    for folder, to in folders:
        for module, path, kept in sources(folder, to):
            known.setdefault(module, []).append((path, kept))
    context = get_context("fork")
    counter = context.Value("i", 0)
    files = size = 0
    with ProcessPoolExecutor(
        wanted["processes"], context, prepare, (wanted["drafts"], counter)
    ) as pool:

        def compiled(modules, wants_names):
            nonlocal files, size
            items = [
                (module, (*paths, wants_names))
                for module in modules
                for paths in known.get(module, ())
            ]
            at_once = 4 if wants_names else 16
            done = pool.map(keep, [item for _, item in items], chunksize=at_once)
            for (module, _), (names, bytes_kept) in zip(items, done):
                files += bytes_kept > 0
                size += bytes_kept
                yield module, names

        seen = set()
        following = [("", name) for name in first_names(wanted["first"])]
        while following:
            wave = {}
            for importer, name in following:
                wave.update(dict.fromkeys(modules_of(name, importer, known)))
            wave = [module for module in wave if module not in seen]
            seen.update(wave)
            following = [(module, name) for module, names in compiled(wave, True) for name in names]
        for _ in compiled([module for module in known if module not in seen], False):
            pass
    print(files, size)


work()
