"""Asks pip and uv what they make of each file in `requirements/`, and keeps their answers.

`python verdicts.py [UV]`, with an interpreter that has pip: its verdicts, and those of uv where its
path is given, take the place of those of the same versions in `verdicts.json`. No network is used.
"""

import json
import pathlib
import re
import subprocess
import sys
import tempfile
import zipfile

import pip
from pip._internal.index.collector import LinkCollector
from pip._internal.index.package_finder import PackageFinder
from pip._internal.models.search_scope import SearchScope
from pip._internal.models.selection_prefs import SelectionPreferences
from pip._internal.network.session import PipSession
from pip._internal.req.constructors import install_req_from_parsed_requirement
from pip._internal.req.req_file import parse_requirements

HERE = pathlib.Path(__file__).parent
FILES = sorted((HERE / "requirements").glob("*.txt"))


def pip_verdict(path):
    """What pip reads, each as a table; nothing where it refuses the file."""
    session = PipSession()
    scope = SearchScope.create([], [], no_index=False)
    finder = PackageFinder.create(
        link_collector=LinkCollector(session=session, search_scope=scope),
        selection_prefs=SelectionPreferences(allow_yanked=True),
    )
    found = []
    try:
        for parsed in parse_requirements(str(path), session, finder=finder):
            it = install_req_from_parsed_requirement(parsed)
            found.append(
                {
                    "constraint": bool(parsed.constraint),
                    "editable": it.editable,
                    "extras": sorted(it.extras),
                    "hashes": sum(len(hashes) for hashes in it.hash_options.values()),
                    "link": it.link.url if it.link else None,
                    "marker": str(it.markers) if it.markers else None,
                    "name": it.name,
                    "specifier": str(it.req.specifier) if it.req else "",
                }
            )
    # pip ends its process on wrong options.
    except (Exception, SystemExit):
        return None
    return sorted(found, key=str)


def write_wheels(folder, verdicts):
    """A wheel of each version that some file pins or starts at."""
    for it in (it for verdict in verdicts for it in verdict or ()):
        pins = re.findall(r"(?:==|>=|~=)([^,*]+?)(?:\.\*)?(?:,|$)", it["specifier"])
        for version in pins or ["1.0"]:
            name = re.sub(r"[-_.]+", "_", it["name"] or "none")
            info = f"{name}-{version}.dist-info"
            with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as wheel:
                extras = "".join(f"Provides-Extra: {extra}\n" for extra in it["extras"])
                head = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
                wheel.writestr(info + "/METADATA", head + extras)
                wheel.writestr(info + "/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
                wheel.writestr(info + "/RECORD", "")


def uv_verdict(uv, path, wheels):
    """The names that uv reads, nothing where it refuses the file, false where it would download."""
    text = path.read_bytes().replace(b"\0", b"")
    if any(part in text for part in (b"://", b"--hash", b"custom", b"+cu")):
        return False
    options = "--no-deps --universal --no-header --no-annotate --no-index --quiet --offline"
    command = [uv, "pip", "compile", *options.split(), "--find-links", wheels, path]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        return None
    return sorted({re.split(r"[=\[ ;]", line)[0] for line in done.stdout.splitlines()})


def main():
    file = HERE / "verdicts.json"
    kept = json.loads(file.read_text("utf-8")) if file.exists() else {}
    verdicts = {path.name: pip_verdict(path) for path in FILES}
    kept[f"pip {pip.__version__}"] = verdicts
    if len(sys.argv) > 1:
        uv = sys.argv[1]
        version = subprocess.run([uv, "--version"], capture_output=True, text=True, check=True)
        with tempfile.TemporaryDirectory() as folder:
            write_wheels(pathlib.Path(folder), verdicts.values())
            name = " ".join(version.stdout.split()[:2])
            kept[name] = {path.name: uv_verdict(uv, path, folder) for path in FILES}
    file.write_text(json.dumps(kept, indent=1, sort_keys=True) + "\n", "utf-8")


if __name__ == "__main__":
    main()
