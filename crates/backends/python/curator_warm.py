"""A template that stays after its run: it listens for later runs, and forks workers for them.

It serves any number of runs at once. What it forks belongs to the run that asked for it, whose
lifeline the worker gets with its first frame.
"""

import _socket
import json
import os
import select
import signal
import stat
import struct
import sys
from time import monotonic

from curator_frames import ASK, DONE, LEAVE, STAY, VISIT, Channel
from curator_proof import proof
from curator_watch import names_in, packages_in

__all__ = ["Seen", "Warm"]

# How often it looks whether its environment is still there, and for workers that have ended.
_LOOK_SECONDS = 5
_SOON_SECONDS = 0.1
# The clock that stamps files runs behind by so much at most.
_CLOCK_NANOSECONDS = 15_000_000
# Modules that Python imports by itself where it finds them.
_BY_THEMSELVES = {"sitecustomize", "usercustomize"}


class Warm:
    """The process that stays."""

    def __init__(self, template, request):
        # Out of the run's session and group, which end with it.
        os.setsid()
        null = os.open(os.devnull, os.O_RDWR)
        for number in range(3):
            os.dup2(null, number)
        if null > 2:
            os.close(null)
        self._template = template
        self._environments = request["environments"]
        self._seen = template.seen
        problem = self._seen.change()
        if problem is not None:
            raise RuntimeError(problem)
        self._prefix = _identity(sys.prefix)
        self._visitors = {}
        self._runs = set()
        # Workers of runs that have gone, which are killed and not reaped.
        self._left = set()
        self._owner = None
        self._is_alone = self._is_stale = self._is_leaving = False
        self._poll = select.poll()
        self._listen(*request["place"])
        self._stay(request)

    def _listen(self, folder, name):
        self._listener = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
        self._path = os.path.join(folder, f"{name}-{os.getpid()}")
        # Under its own name it is there only once it answers: what does not answer is removed.
        self._listener.bind(self._path + ".new")
        self._listener.listen(16)
        os.rename(self._path + ".new", self._path)
        self._place = _identity(self._path)
        self._poll.register(self._listener.fileno(), select.POLLIN)

    def _stay(self, request):
        self._seconds = request["seconds"]
        self._owner_pid = request["owner"]
        self._since = monotonic()
        if self._owner is not None:
            self._forget_owner()
        self._is_alone = False
        if request["owner"] is not None:
            try:
                self._owner = os.pidfd_open(request["owner"])
            except OSError:
                self._is_alone = True
            else:
                self._poll.register(self._owner, select.POLLIN)

    def _forget_owner(self):
        self._poll.unregister(self._owner)
        os.close(self._owner)
        self._owner = None

    def serve(self):
        """Does what runs ask for. Returns in the workers alone."""
        while True:
            if not self._runs and self._is_over():
                os._exit(0)
            for number, _ in self._poll.poll(self._patience() * 1000):
                if number == self._listener.fileno():
                    self._admit()
                elif number == self._owner:
                    self._forget_owner()
                    self._is_alone = True
                elif number in self._visitors and self._hear(number):
                    return
            self._reap()

    def _is_over(self):
        return (
            self._is_alone
            or self._is_stale
            or self._is_leaving
            or monotonic() - self._since >= self._seconds
            or _identity(sys.prefix) != self._prefix
            or _identity(self._path) != self._place
        )

    def _patience(self):
        if self._left:
            return _SOON_SECONDS
        if self._runs:
            return _LOOK_SECONDS
        return max(0.0, min(_LOOK_SECONDS, self._since + self._seconds - monotonic())) + 0.001

    def _admit(self):
        try:
            number, _ = self._listener._accept()
        except OSError:
            return
        connection = _socket.socket(fileno=number)
        # The process, user and group at the other end.
        peer = connection.getsockopt(_socket.SOL_SOCKET, _socket.SO_PEERCRED, 12)
        if int.from_bytes(peer[4:8], sys.byteorder) != os.geteuid():
            connection.close()
            return
        channel = Channel(connection, struct)
        channel.accept_files(_socket)
        self._visitors[number] = (channel, set())
        self._poll.register(number, select.POLLIN)

    def _hear(self, number):
        """Does what a visitor asks for; true in a worker."""
        channel, _ = self._visitors[number]
        try:
            while True:
                frame = channel.receive()
                if frame is None:
                    self._part(number)
                    return False
                answer = self._do(number, frame)
                if answer is None:
                    return True
                channel.send(DONE, 0, json.dumps(answer).encode())
                channel.flush()
                if not channel.has_pending():
                    return False
        except (OSError, RuntimeError, ValueError, KeyError, TypeError):
            self._part(number)
            return False

    def _part(self, number):
        """A run has gone: its workers end with its lifeline, and are not to be waited for."""
        channel, children = self._visitors.pop(number)
        self._poll.unregister(number)
        channel.close()
        for pid in children:
            try:
                os.killpg(pid, signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                pass
        self._left |= children
        if number in self._runs:
            self._runs.discard(number)
            self._since = monotonic()

    def _reap(self):
        for pid in list(self._left):
            try:
                ended, _ = os.waitpid(pid, os.WNOHANG)
            except ChildProcessError:
                ended = pid
            if ended:
                self._left.discard(pid)

    def _do(self, number, frame):
        """The answer to a frame; None in a worker."""
        channel, children = self._visitors[number]
        kind, _, meta, _ = frame
        request = json.loads(meta)
        if kind == VISIT:
            return self._welcome(number, request)
        if kind == STAY:
            self._stay(request)
            return {}
        if kind == ASK:
            return self._tell()
        if kind == LEAVE:
            self._is_leaving = True
            return {"is_used": bool(self._runs)}
        return self._template.obey(channel, frame, children, self.close)

    def _welcome(self, number, request):
        problem = "it is about to end" if self._is_leaving else self._seen.change()
        if problem is not None:
            self._is_stale = True
        else:
            problem = self._template.differs_from(request["source"])
        if problem is None:
            self._runs.add(number)
        return {"problem": problem, "proof": proof(request["packages"], json)}

    def _tell(self):
        idle = None if self._runs else monotonic() - self._since
        return {
            "file": self._template.sources[0]["file"],
            "imports": self._template.imported,
            "owner": self._owner_pid,
            "environments": self._environments,
            "idle_seconds": idle,
            "ends_in_seconds": None if idle is None else max(0, self._seconds - idle),
        }

    def close(self):
        """Lets everything go that a worker has no use for."""
        self._listener.close()
        for channel, _ in self._visitors.values():
            channel.close()
        if self._owner is not None:
            os.close(self._owner)


class Seen:
    """What imports have read and not found, as it was right after them."""

    def __init__(self, began, watch):
        self._folder = os.getcwd()
        searched = watch.missing()
        roots = {name.partition(".")[0] for name in list(sys.modules)} | _BY_THEMSELVES
        self._roots = roots | {name for name, folders in searched if folders is None}
        self._inner = {}
        for name, folders in searched:
            for folder in folders or ():
                self._inner.setdefault(folder, set()).add(name.rpartition(".")[2])
        paths = _origins() | watch.files | {os.path.abspath(entry) for entry in sys.path if entry}
        self._files = {path: _stamp(path) for path in paths}
        self._listed = [(folder, names_in, names_in(folder)) for folder in watch.folders]
        self._listed += [
            (folder, packages_in, packages_in(folder)) for folder in watch.package_folders
        ]
        self._names = self._found()
        # What has changed since the first import may have done so after it was read.
        late = began - _CLOCK_NANOSECONDS
        self.problem = next(
            (
                f"`{path}` changed while it was imported"
                for path, stamp in self._files.items()
                if stamp is not None and stamp.is_later_than(late)
            ),
            None,
        )

    def change(self):
        """What is not as it was, or None."""
        # What was looked up before may have been added since.
        for folder, finder in list(sys.path_importer_cache.items()):
            if finder is None:
                del sys.path_importer_cache[folder]
            elif hasattr(finder, "invalidate_caches"):
                finder.invalidate_caches()
        for path, stamp in self._files.items():
            if _stamp(path) != stamp:
                return f"`{path}` has changed"
        for folder, names_of, names in self._listed:
            if names_of(folder) != names:
                return f"`{folder}` has other files"
        if self._found() != self._names:
            return "other modules are on its path"
        if _identity(self._folder) != _identity("."):
            return f"`{self._folder}` is another folder"
        return self.problem

    def _found(self):
        """What is there under the names that imports have looked for."""
        found = _names_on_path(self._roots)
        for folder, wanted in self._inner.items():
            try:
                names = os.listdir(folder)
            except OSError:
                continue
            found |= {(folder, name) for name in names if name.partition(".")[0] in wanted}
        return found


def _origins():
    found = {sys.executable}
    for module in list(sys.modules.values()):
        try:
            # A module that loads itself when it is looked at stays as it is.
            own = object.__getattribute__(module, "__dict__")
        except AttributeError:
            continue
        spec = own.get("__spec__")
        for path in (getattr(spec, "origin", None), own.get("__file__")):
            if isinstance(path, str) and os.path.isabs(path):
                found.add(path)
    return found


def _names_on_path(roots):
    found = set()
    for folder in sys.path:
        try:
            names = os.listdir(folder or ".")
        except OSError:
            continue
        for name in names:
            if name.endswith(".pth"):
                found.add((folder, name, _stamp(os.path.join(folder, name))))
            elif name.partition(".")[0] in roots:
                found.add((folder, name))
    return found


class _Stamp:
    """What tells a file from a changed one."""

    def __init__(self, told):
        self._is_file = stat.S_ISREG(told.st_mode)
        # What is in a folder is looked at by itself.
        self._content = (told.st_mtime_ns, told.st_size) if self._is_file else ()
        self._file = (told.st_dev, told.st_ino, stat.S_IFMT(told.st_mode))
        self._links, self._changed = told.st_nlink, told.st_ctime_ns

    def __eq__(self, other):
        if not isinstance(other, _Stamp):
            return NotImplemented
        if (self._content, self._file) != (other._content, other._file):
            return False
        # A link more or less is no other content, and changes this time, too: environments that are
        # made link to the files of the base.
        is_linked = self._links != other._links
        return not self._is_file or is_linked or self._changed == other._changed

    def __hash__(self):
        return hash((self._content, self._file))

    def is_later_than(self, moment):
        if not self._is_file:
            return False
        return self._content[0] >= moment or (self._links == 1 and self._changed >= moment)


def _stamp(path):
    try:
        return _Stamp(os.stat(path))
    except (OSError, ValueError):
        return None


def _identity(path):
    """What tells a file or folder from another of its name."""
    try:
        told = os.stat(path)
    except OSError:
        return None
    return told.st_dev, told.st_ino, stat.S_IFMT(told.st_mode)
