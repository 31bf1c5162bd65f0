"""Tell what an interpreter has to offer: its minor version, its pip, and the pip wheels it ships.

The answer is a list of texts with NUL between them: what imports nothing starts sooner.
"""

import os
import sys


def package_dir(name):
    folders = [os.path.join(folder, name) for folder in sys.path]
    return next((f for f in folders if os.path.isfile(os.path.join(f, "__init__.py"))), "")


def pip_wheels(folder):
    try:
        names = sorted(os.listdir(folder))
    except OSError:
        return []
    wheels = [name for name in names if name.startswith("pip-") and name.endswith(".whl")]
    return [os.path.join(folder, name) for name in wheels]


def bundled():
    wheels = pip_wheels(os.path.join(package_dir("ensurepip"), "_bundled"))
    if not wheels:
        # Where distributors keep the wheels of ensurepip (PEP 453 leaves it to them).
        import sysconfig

        wheels = pip_wheels(sysconfig.get_config_var("WHEEL_PKG_DIR") or "/usr/share/python-wheels")
    return wheels


answer = [f"{sys.version_info[0]}.{sys.version_info[1]}", package_dir("pip"), *bundled()]
sys.stdout.buffer.write(b"\0".join(os.fsencode(text) for text in answer))
