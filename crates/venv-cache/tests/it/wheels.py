"""Writes the tests' wheels into the folder that is given: small, pure, without a build tool."""

import base64
import hashlib
import pathlib
import sys
import zipfile


def wheel(name, version, files, scripts=()):
    info = f"{name}-{version}.dist-info"
    files = dict(files)
    files[info + "/METADATA"] = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    files[info + "/WHEEL"] = (
        "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    )
    if scripts:
        lines = ["{} = {}".format(*script) for script in scripts]
        files[info + "/entry_points.txt"] = "[console_scripts]\n{}\n".format("\n".join(lines))
    record = ""
    for path, text in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=")
        record += f"{path},sha256={digest.decode()},{len(text.encode())}\n"
    files[info + "/RECORD"] = record + info + "/RECORD,,\n"
    target = pathlib.Path(sys.argv[1], f"{name}-{version}-py3-none-any.whl")
    with zipfile.ZipFile(target, "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)


def shows(version):
    main = "def main():\n    import sys\n    print(__version__, sys.prefix)\n"
    return f"__version__ = {version!r}\n\n{main}"


wheel(
    "alpha",
    "1.0",
    {
        "alpha/__init__.py": shows("1.0"),
        "alpha/old.py": "",
        "alpha/deep/er/__init__.py": "",
        "alpha_extra.py": "",
        "alpha-1.0.data/data/share/alpha/note.txt": "1.0\n",
    },
    [("alpha-show", "alpha:main"), ("alpha-old", "alpha:main")],
)
wheel(
    "alpha",
    "2.0",
    {"alpha/__init__.py": shows("2.0"), "alpha/new.py": ""},
    [("alpha-show", "alpha:main")],
)
wheel(
    "kept",
    "1.0",
    {"kept/__init__.py": shows("1.0"), "kept/data.txt": "as installed\n"},
    [("kept-show", "kept:main")],
)
wheel("gone", "1.0", {"gone.py": shows("1.0")})
wheel("added", "1.0", {"added.py": shows("1.0")}, [("added-show", "added:main")])
wheel("space_one", "1.0", {"space/one.py": shows("1.0")})
wheel("space_two", "1.0", {"space/two.py": shows("1.0")})
