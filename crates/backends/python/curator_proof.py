"""A worker's report about its environment, so that no stage runs in another than its own."""

import os
import sys

__all__ = ["proof"]


def proof(packages, json):
    """What this process is, and which versions of these packages it sees."""
    return {
        "python": sys.executable,
        "prefix": sys.prefix,
        "version": list(sys.version_info[:3]),
        "environment": environment_key(json),
        "packages": visible_versions(packages),
        "pid": os.getpid(),
    }


def _normal_name(name):
    """PEP 503, without the cost of importing `re` for it."""
    name = name.lower().replace("_", "-").replace(".", "-")
    while "--" in name:
        name = name.replace("--", "-")
    return name


def visible_versions(wanted):
    """Returns every version of the wanted distributions on `sys.path`, by the folder's name alone
    if that has the version."""
    found = {name: [] for name in wanted}
    if not found:
        return found
    unnamed = []
    for folder in sys.path:
        try:
            names = os.listdir(folder or ".")
        except OSError:
            continue
        for entry in names:
            if entry.endswith(".dist-info"):
                stem = entry[:-10]
            elif entry.endswith(".egg-info"):
                stem = entry[:-9].split("-py")[0]
            else:
                continue
            name, dash, version = stem.partition("-")
            versions = found.get(_normal_name(name))
            if versions is not None and not dash:
                unnamed.append((versions, os.path.join(folder or ".", entry, "PKG-INFO")))
            elif versions is not None and version not in versions:
                versions.append(version)
    for versions, path in unnamed:
        if not versions and (version := _version_in(path)):
            versions.append(version)
    return found


def _version_in(path):
    """Returns the version in the metadata of a distribution."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return next((line[8:].strip() for line in file if line.startswith("Version:")), None)
    except OSError:
        return None


def environment_key(json):
    """Returns the key in the manifest of this interpreter's environment."""
    try:
        with open(os.path.join(sys.prefix, "manifest.json"), encoding="utf-8") as file:
            key = json.load(file).get("key")
    except (OSError, ValueError, AttributeError):
        return None
    return key if isinstance(key, str) else None
