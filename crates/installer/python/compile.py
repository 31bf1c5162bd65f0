"""Compile the Python files of installed distributions: part INDEX of COUNT, then their names."""

import os
import py_compile
import re
import sys


def normal(name):
    return re.sub("[-_.]+", "-", name).lower()


def recorded(names):
    """The .py files that belong to distributions of these names, in a fixed order."""
    for folder in sys.path:
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
                # What lies outside of the folder is a script.
                if path.endswith(".py") and not path.startswith(("..", "/")):
                    yield os.path.join(folder, path)


index, count, names = int(sys.argv[1]), int(sys.argv[2]), set(sys.argv[3:])
compiled = 0
for position, path in enumerate(recorded(names)):
    if position % count != index:
        continue
    try:
        # By time and not by hash, whatever SOURCE_DATE_EPOCH says: hashes are checked at each import.
        mode = py_compile.PycInvalidationMode.TIMESTAMP
        if py_compile.compile(path, invalidation_mode=mode, doraise=True):
            compiled += 1
    except Exception:
        # Templates and files for another Python do not compile, and need not.
        continue
print(compiled)
