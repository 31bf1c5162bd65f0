"""The folders that modules come from: those of the user's own, and that of this package."""

import os
import site
import sys
import sysconfig

__all__ = ["own_folders", "package_folder"]


def package_folder() -> str:
    """The folder of this package."""
    return os.path.dirname(os.path.abspath(__file__))


def own_folders() -> list[str]:
    """The folders of `sys.path` that are the user's own: neither Python's nor an installation's."""
    installed = set(sysconfig.get_paths().values())
    installed.update(site.getsitepackages() if hasattr(site, "getsitepackages") else ())
    installed.add(site.getusersitepackages() if hasattr(site, "getusersitepackages") else "")
    prefixes = tuple({os.path.realpath(p) for p in (sys.prefix, sys.base_prefix) if p != "/usr"})
    folders: list[str] = []
    for entry in sys.path:
        folder = os.path.abspath(entry or os.getcwd())
        if not os.path.isdir(folder) or folder in installed or folder in folders:
            continue
        if os.path.realpath(folder).startswith(tuple(f"{prefix}/lib" for prefix in prefixes)):
            continue
        folders.append(folder)
    return folders
