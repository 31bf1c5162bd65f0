"""Finds out the declarations of stages' classes, in the base, before a run is planned.

It uses a worker's frames: after the start it answers with one frame for each file of stages. If the
text alone shows the declarations, the file is not run. Otherwise the file is imported and its
stages are constructed, in a child process for each file. So no file sees the imports of another
one, and a crash or hang affects only its own file. The worker's own function reads the declarations
of an instance.
"""

import os
import sys


def _find(code):
    """Returns the path of a stage's file; for a module, without importing packages above it."""
    if "file" in code:
        return code["file"]
    from importlib.machinery import PathFinder

    folders, spec, name = None, None, ""
    for part in code["module"].split("."):
        name = f"{name}.{part}" if name else part
        spec = PathFinder.find_spec(name, folders)
        if spec is None:
            return None
        folders = spec.submodule_search_locations
    return spec.origin


def _text(path):
    try:
        with open(path, "rb") as file:
            return file.read()
    except (OSError, TypeError, ValueError):
        return None


def _literal(text, stage):
    from curator_literals import Literals

    return Literals(b"" if text is None else text, stage["name"])


def _constructed(code, stages):
    """Returns the instances' declarations, from a child: `[settings, near]` or the problem."""
    from curator_code import construct, declared_by, describe_error, module_of

    def problem_of(error, phase):
        told = describe_error(error)
        missing = getattr(error, "name", None) if isinstance(error, ImportError) else None
        text = f"{told['type']}: {told['message']}"[:2000]
        return {"phase": phase, "missing": missing, "text": text}

    try:
        module = module_of(code)
    except BaseException as error:
        return [{"problem": problem_of(error, "import")} for _ in stages]
    answers = []
    for stage in stages:
        try:
            found = declared_by(construct(module, stage["name"], stage["args"]))
            answers.append({"found": found})
        except BaseException as error:
            answers.append({"problem": problem_of(error, "construct")})
    return answers


class _Base:
    """The folders of the base's distributions, which its fingerprint tells apart."""

    def __init__(self):
        import sysconfig

        paths = sysconfig.get_paths()
        folders = {paths.get(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
        folders -= {None}
        folders |= {os.path.realpath(folder) for folder in folders}
        folders.add(os.path.dirname(os.path.abspath(__file__)))
        self._begins = tuple(folder + os.sep for folder in folders)

    def has(self, path):
        is_below = (path + os.sep).startswith(self._begins)
        return is_below or f"{os.sep}site-packages{os.sep}" in path


def _own_files(first, base):
    """Returns the files of the modules that the answers depend on."""
    files = {first}
    for module in list(sys.modules.values()):
        path = getattr(module, "__file__", None)
        if isinstance(path, str) and path.endswith(".py") and not base.has(path):
            files.add(os.path.abspath(path))
    return files


def _looked_for(watch, base):
    """Returns the files that the answers depend on beside modules, also where there are none."""
    files = {path for path in watch.files if os.path.isfile(path) or not os.path.lexists(path)}
    for name, folders in watch.missing():
        leaf = name.rpartition(".")[2]
        for folder in sys.path if folders is None else folders:
            place = os.path.join(os.path.abspath(folder), leaf)
            files |= {f"{place}.py", os.path.join(place, "__init__.py")}
    return {path for path in files if not base.has(path)}


def _sources(files, looked_for=(), folders=()):
    """Returns the files' digests, folders' names, and whether any code reads variables; None if a
    module's file is gone, or a name is no text, which the engine could not read."""
    import hashlib

    from curator_watch import names_in

    digests, has_variables = [], False
    for path in sorted(files):
        text = _text(path)
        if text is None:
            return None
        has_variables |= b"environ" in text or b"getenv" in text
        digests.append([path, hashlib.sha256(text).hexdigest()])
    for path in sorted(set(looked_for) - set(files)):
        text = _text(path)
        digests.append([path, "" if text is None else hashlib.sha256(text).hexdigest()])
    listings = [[folder, names_in(folder)] for folder in sorted(folders)]
    try:
        for path, names in (*digests, *listings):
            "".join((path, *(names or ()))).encode()
    except UnicodeEncodeError:
        return None
    return {"digests": digests, "listings": listings, "has_variables": has_variables}


def _sources_of(path, watch):
    """Returns what the answers depend on that this process has found."""
    base = _Base()
    folders = [folder for folder in watch.folders if not base.has(folder)]
    return _sources(_own_files(path, base), _looked_for(watch, base), folders)


def _in_child(group, path, limit):
    """Returns a child's answers, and the files that they depend on; or the problem."""
    import json
    import select
    import signal
    import time

    ours, theirs = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.close(ours)
            from curator_watch import Watch

            watch = Watch()
            watch.begin()
            answers = _constructed(group["code"], group["stages"])
            watch.end()
            files = _sources_of(path, watch) if path else None
            data = json.dumps([answers, files]).encode()
            while data:
                data = data[os.write(theirs, data) :]
            code = 0
        finally:
            os._exit(code)
    os.close(theirs)
    deadline = time.monotonic() + limit
    data, is_over = b"", False
    while not is_over:
        ready, _, _ = select.select([ours], [], [], max(0, deadline - time.monotonic()))
        if not ready:
            os.kill(child, signal.SIGKILL)
            break
        part = os.read(ours, 1 << 16)
        data += part
        is_over = not part
    os.close(ours)
    _, status = os.waitpid(child, 0)
    try:
        return json.loads(data)
    except ValueError:
        text = f"it took longer than {limit} s" if not is_over else "its process ended"
        if is_over and os.WIFSIGNALED(status):
            text += f" by signal {os.WTERMSIG(status)}"
        problem = {"problem": {"phase": "import", "missing": None, "text": text}}
        return [[problem] * len(group["stages"]), None]


def _answer(group, limit):
    path = _find(group["code"])
    text = _text(path)
    literals = [_literal(text, stage) for stage in group["stages"]]
    if all(one.is_certain for one in literals):
        answers = [{"found": {"settings": one.values, "near": []}} for one in literals]
        return {"answers": answers, "files": _sources([path])}
    answers, files = _in_child(group, path, limit)
    for answer, one in zip(answers, literals):
        if "problem" in answer:
            answer["found"] = {"settings": one.values, "near": []}
            answer["others"] = sorted(one.others)
    return {"answers": answers, "files": files}


def _serve():
    import json

    folder = os.path.dirname(os.path.abspath(__file__))
    if not getattr(sys.flags, "safe_path", False) and sys.path[:1] == [folder]:
        del sys.path[0]
    sys.path.insert(0, folder)
    import curator_code  # noqa: F401
    import curator_declared  # noqa: F401
    import curator_literals  # noqa: F401
    import curator_watch  # noqa: F401
    from curator_frames import LOADED
    from curator_worker import connect

    connected = connect()
    sys.path.remove(folder)
    if connected is None:
        return
    channel, start = connected
    # Last on the path: modules of the base or a stage with these names come first.
    sys.path.append(folder)
    for group in start["files"]:
        channel.send(LOADED, 0, json.dumps(_answer(group, start["limit"])).encode())
        channel.flush()


if __name__ == "__main__":
    _serve()
