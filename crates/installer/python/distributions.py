"""Print name and version of every distribution that an interpreter sees, the first of a name."""

import json
import os
import sys


def metadata(folder):
    for name in ("METADATA", "PKG-INFO", ""):
        try:
            with open(os.path.join(folder, name) if name else folder, encoding="utf-8") as file:
                return file.read().split("\n\n", 1)[0]
        except OSError:
            continue
    return ""


def field(text, name):
    for line in text.splitlines():
        key, _, value = line.partition(":")
        if key.lower() == name:
            return value.strip()
    return None


seen = []
for folder in sys.path:
    try:
        entries = sorted(os.listdir(folder))
    except OSError:
        continue
    for entry in entries:
        if entry.endswith((".dist-info", ".egg-info")):
            text = metadata(os.path.join(folder, entry))
            name, version = field(text, "name"), field(text, "version")
            if name and version:
                seen.append({"name": name, "version": version})
print(json.dumps(seen))
