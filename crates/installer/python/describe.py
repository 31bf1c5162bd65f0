"""Print what an interpreter has to offer: its minor version, its pip, and the pip wheels it ships."""

import json
import os
import sys
from importlib.machinery import PathFinder


def package_dir(name):
    spec = PathFinder.find_spec(name)
    return spec.submodule_search_locations[0] if spec and spec.submodule_search_locations else None


def pip_wheels(folder):
    try:
        names = sorted(os.listdir(folder))
    except OSError:
        return []
    wheels = [name for name in names if name.startswith("pip-") and name.endswith(".whl")]
    return [os.path.join(folder, name) for name in wheels]


def bundled():
    wheels = pip_wheels(os.path.join(package_dir("ensurepip") or "", "_bundled"))
    if not wheels:
        # Where distributors keep the wheels of ensurepip (PEP 453 leaves it to them).
        import sysconfig

        wheels = pip_wheels(sysconfig.get_config_var("WHEEL_PKG_DIR") or "/usr/share/python-wheels")
    return wheels


print(
    json.dumps(
        {
            "minor": "%d.%d" % sys.version_info[:2],
            "pip": package_dir("pip"),
            "bundled": bundled(),
        }
    )
)
