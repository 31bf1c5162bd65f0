"""Writes small wheels, and installs them without a package manager.

`wheels.py FOLDER`: one wheel per object (name, version, requires, files, extras) of the JSON on
standard input, always with the same bytes;
`wheels.py --install SITE WHEEL...`: unpacks wheels into a folder of packages.
"""

import base64
import hashlib
import json
import pathlib
import sys
import zipfile


def wheel(folder, name, version, requires=(), files=None, extras=()):
    info = f"{name}-{version}.dist-info"
    files = dict(files or {f"{name}.py": f"__version__ = {version!r}\n"})
    head = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    head += "".join(f"Provides-Extra: {extra}\n" for extra in extras)
    files[info + "/METADATA"] = head + "".join(f"Requires-Dist: {line}\n" for line in requires)
    files[info + "/WHEEL"] = (
        "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    )
    record = ""
    for path, text in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=")
        record += f"{path},sha256={digest.decode()},{len(text.encode())}\n"
    files[info + "/RECORD"] = record + info + "/RECORD,,\n"
    target = pathlib.Path(folder, f"{name}-{version}-py3-none-any.whl")
    with zipfile.ZipFile(target, "w") as archive:
        for path, text in files.items():
            archive.writestr(zipfile.ZipInfo(path), text)


if sys.argv[1] == "--install":
    for archive in sys.argv[3:]:
        with zipfile.ZipFile(archive) as opened:
            opened.extractall(sys.argv[2])
else:
    for arguments in json.load(sys.stdin):
        wheel(sys.argv[1], **arguments)
