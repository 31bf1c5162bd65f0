"""Compile the Python files of installed distributions: INDEX, COUNT, FOLDER or nothing, names."""

import os
import sys
from importlib.machinery import SourceFileLoader


def normal(name):
    return "-".join(filter(None, name.lower().replace("_", "-").replace(".", "-").split("-")))


def recorded(names):
    """The .py files that belong to distributions of these names, in a fixed order."""
    for folder in folders:
        try:
            entries = sorted(os.listdir(folder))
        except OSError:
            continue
        for entry in entries:
            stem, extension = os.path.splitext(entry)
            if extension != ".dist-info" or normal(stem.split("-")[0]) not in names:
                continue
            try:
                with open(os.path.join(folder, entry, "RECORD"), encoding="utf-8") as record:
                    lines = record.read().splitlines()
            except OSError:
                continue
            for line in lines:
                path = line.rsplit(",", 2)[0].strip('"')
                # Files outside the folder are scripts.
                if path.endswith(".py") and not path.startswith(("..", "/")):
                    yield os.path.join(folder, path)


index, count, names = int(sys.argv[1]), int(sys.argv[2]), set(sys.argv[4:])
folders = [sys.argv[3]] if sys.argv[3] else sys.path
compiled = 0
for position, path in enumerate(recorded(names)):
    if position % count != index:
        continue
    try:
        # Compile as an import would: by the file's time, and only if the bytecode is missing.
        # py_compile would do the same, but takes longer to import than ten files to compile.
        SourceFileLoader("module", path).get_code("module")
        compiled += 1
    except (ImportError, OSError, RecursionError, SyntaxError, ValueError):
        # Templates and files for another Python do not compile, and need not.
        continue
print(compiled)
