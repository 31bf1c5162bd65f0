"""The folders that modules come from: those of the user's own, and that of this package."""

import os
import site
import sys
import sysconfig
from typing import Optional

__all__ = ["own_folders", "package_folder", "user_site"]


def package_folder() -> str:
    """The folder of this package."""
    return os.path.dirname(os.path.abspath(__file__))


def user_site() -> Optional[str]:
    """The folder that `pip install --user` installs to, where this Python looks there."""
    folder = site.getusersitepackages() if site.ENABLE_USER_SITE else None
    return folder if folder in sys.path else None


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
