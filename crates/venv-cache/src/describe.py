"""What a Python interpreter says of itself, as one line of JSON after a marker.

Run with ``-I -B -c``: no user site, no ``PYTHON*`` variables, no bytecode written. It must parse
on every Python, also on those that are refused afterwards.
"""

import json
import sys

MARKER = "curator-interpreter:"


def site_dirs():
    import site

    # The order of `sys.path` decides which of two distributions is imported. A folder that does
    # not exist yet is not on it, but a package may be installed there tomorrow.
    known = site.getsitepackages()
    found = [path for path in sys.path if path in known]
    return list(dict.fromkeys(found + known))


def base_executable():
    """The interpreter proper, by the most exact of its names, never a virtualenv's link to it."""
    import os.path

    found = getattr(sys, "_base_executable", None) or sys.executable
    if sys.prefix != sys.base_prefix and found.startswith(sys.prefix + os.sep):
        # Before 3.11 a virtualenv's interpreter names itself here.
        found = os.path.realpath(sys.executable)
        if found.startswith(os.path.realpath(sys.prefix) + os.sep):
            found = os.path.join(home(), os.path.basename(sys.executable))
    exact = os.path.join(os.path.dirname(found), "python%d.%d" % sys.version_info[:2])
    try:
        return exact if os.path.samefile(exact, found) else found
    except OSError:
        return found


def home():
    import os.path

    with open(os.path.join(sys.prefix, "pyvenv.cfg"), encoding="utf-8") as file:
        for line in file:
            key, _, value = line.partition("=")
            if key.strip().lower() == "home":
                return value.strip()
    return os.path.join(sys.base_prefix, "bin")


def libc():
    import os
    import sysconfig

    try:
        name, _, version = os.confstr("CS_GNU_LIBC_VERSION").partition(" ")
        return {"family": name, "version": version}
    except (AttributeError, OSError, ValueError, TypeError):
        pass
    host = "%s %s" % (
        sysconfig.get_config_var("HOST_GNU_TYPE"),
        sysconfig.get_config_var("SOABI"),
    )
    return {"family": "musl", "version": None} if "musl" in host else None


def layout():
    """Where a virtualenv of this interpreter keeps what, relative to its prefix."""
    import os.path
    import sysconfig

    scheme = "venv" if "venv" in sysconfig.get_scheme_names() else "posix_prefix"
    root = os.path.join(os.sep, "venv")
    variables = {"base": root, "platbase": root, "installed_base": root, "installed_platbase": root}
    return dict(
        (name, os.path.relpath(sysconfig.get_path(name, scheme, variables), root))
        for name in ("purelib", "platlib", "scripts", "include")
    )


def describe():
    import os.path
    import sysconfig

    paths = sysconfig.get_paths()
    return {
        "executable": sys.executable,
        "base_executable": base_executable(),
        "version": "%d.%d.%d" % sys.version_info[:3],
        "implementation": sys.implementation.name,
        "cache_tag": sys.implementation.cache_tag,
        "soabi": sysconfig.get_config_var("SOABI"),
        "platform": sysconfig.get_platform(),
        "libc": libc(),
        "prefix": sys.prefix,
        "base_prefix": sys.base_prefix,
        "stdlib": paths["stdlib"],
        "purelib": paths["purelib"],
        "platlib": paths["platlib"],
        "scripts": paths["scripts"],
        "include": paths["include"],
        "site_dirs": site_dirs(),
        "layout": layout(),
        "externally_managed": os.path.exists(os.path.join(paths["stdlib"], "EXTERNALLY-MANAGED")),
        "conda": os.path.isdir(os.path.join(sys.prefix, "conda-meta")),
        "wide": sys.maxsize > 2**32,
    }


if __name__ == "__main__":
    version = "%d.%d.%d" % tuple(sys.version_info[:3])
    said = describe() if sys.version_info >= (3, 9) else {"unsupported": version}
    print("\n" + MARKER + json.dumps(said))
