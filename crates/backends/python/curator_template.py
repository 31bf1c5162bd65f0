"""The process that workers of a stage are forked from: it has imported what the stage's code
imports first, and waits. Where several stages begin with the same imports, it is the root that
their templates are forked from.

It runs no code of the user's. A fork after work may hang or die, where one after imports does not:
the worker loads the stage's code, and every module that is not installed, after the fork.
"""

import gc
import json
import os
import sys
from time import time_ns

from curator_frames import DONE, FORK, REAP, SIGNAL, STAY
from curator_imports import OFFENDERS, imports_of, shared_steps
from curator_leave import BeforeFork
from curator_left import Before, open_files, target_of
from curator_warm import Seen, Warm
from curator_watch import Watch

__all__ = ["Template"]

# Nothing is collected before this many objects, which is never: and no import asks for just that.
NEVER = 2**31 - 1 - 4711

# A template that is forked from a root has the root's imports, too.
BEGAN = time_ns()
INHERITED = []
WATCH = Watch()
# What workers have from this process, once it forks.
BEFORE_FORK = []


class Template:
    """What has been imported, and what is said of it."""

    def __init__(self, channel, start):
        self._channel = channel
        self._start = start
        # What a child has no use for: the lifeline and the leases of this process.
        self._held, channel.held = channel.held, []
        # Open files that came from the engine's own parents. A template that is forked from a root
        # has those that the root had, and what the root's imports have opened.
        if not INHERITED:
            own = {0, 1, 2, channel.fileno(), *self._held}
            INHERITED.append({n: target_of(n) for n in map(int, open_files()) if n not in own})
        self._inherited = INHERITED[0]
        self.sources = start["sources"]
        # What the code imports first, and all that was imported. Where it may stay: what it was
        # imported from.
        self.seen = None
        # What no worker tells of its imports.
        self.warning = None
        self.leading = []
        self.imported = []
        self._thresholds = gc.get_threshold()

    def preload(self):
        """Imports; returns what speaks against forking now, or None."""
        # Without collections imports take less time, and nothing writes into what they leave: its
        # pages stay shared with the workers. What an import sets of this stays as it is.
        self._thresholds = gc.get_threshold()
        gc.set_threshold(NEVER, *self._thresholds[1:])
        before = Before()
        problem = self._import_all(before.pid)
        before.end()
        if self._start["may_stay"]:
            self.seen = Seen(BEGAN, WATCH)
        return problem or before.left() or _clash(self.sources)

    def differs_from(self, source):
        """Why a worker that is started for this code would have other imports, or None."""
        if imports_of(source) != self.leading:
            return "the code imports something else by now"
        return _clash([source])

    def _import_all(self, pid):
        if len(self.sources) > 1:
            wanted = shared_steps(self.sources)
            if not wanted:
                return "the stages begin with other imports"
        else:
            wanted = imports_of(self.sources[0])
        self.leading = wanted
        if self._start["may_stay"]:
            WATCH.begin()
        try:
            return self._import_each(wanted, pid)
        finally:
            WATCH.end()

    def _import_each(self, wanted, pid):
        for module, names in wanted:
            root = module.partition(".")[0]
            if root in OFFENDERS:
                return f"`{root}` is not imported before a fork: {OFFENDERS[root]}"
            try:
                __import__(module, {}, {}, names, 0)
            except BaseException as error:
                if os.getpid() != pid:
                    raise  # It is a forked child's own.
                # What the code imports itself its worker tells in full, since it does the same.
                if len(self.sources) == 1 and module in self.sources[0]["preload"]:
                    told = f"{type(error).__name__}: {error}"[:500]
                    self.warning = f"`preload` names `{module}`, whose import failed with {told}"
                return f"`import {module}` failed with {type(error).__name__}"
            self.imported.append(module)
        return None

    def serve(self, send):
        """Forks when it is asked to. Returns in the children alone: this process ends here."""
        gc.freeze()
        BEFORE_FORK[:] = [BeforeFork()]
        children = set()
        while True:
            frame = self._channel.receive()
            if frame is None:
                os._exit(0)
            if frame[0] == STAY:
                problem = self._stay(json.loads(frame[2]))
                if problem is None:
                    return
                answer = {"problem": problem or None}
            else:
                answer = self.obey(self._channel, frame, children, self._channel.close)
                if answer is None:
                    return
            send(DONE, answer)

    def obey(self, channel, frame, children, close):
        """Does what an engine orders, whose children these are; None in a worker, which `close`
        has let go of what is not its own."""
        kind, _, meta, _ = frame
        files, channel.descriptors = channel.descriptors, []
        request = json.loads(meta)
        if kind == FORK:
            pid, problem = _fork()
            if pid == 0:
                try:
                    self._become_worker(files, request["vars"], close)
                except BaseException:
                    # It must not go on as a second template.
                    os._exit(1)
                return None
            for file in files:
                os.close(file)
            if pid is not None:
                _lead_group(pid)
                children.add(pid)
            return {"pid": pid, "problem": problem}
        if kind == SIGNAL:
            if request["pid"] in children:
                _signal_group(request["pid"], request["signal"])
            return {}
        if kind == REAP:
            if request["pid"] not in children:
                return {}
            # It has ended: who asks has seen it.
            _, status = os.waitpid(request["pid"], 0)
            children.discard(request["pid"])
            return {"status": status}
        raise RuntimeError(f"a template is not told {kind}")

    def _stay(self, request):
        """Goes on as another process, which is no child of the engine's. Empty once that listens,
        why it does not, or None in the workers that are forked from it."""
        reader, writer = os.pipe()
        pid, problem = _fork()
        if pid == 0:
            try:
                os.close(reader)
                self._channel.close()
                # The lifeline is the first: this process has another's life.
                os.close(self._held.pop(0))
                # A pipe that is open here would have no end for the process that reads from it.
                for file, target in self._inherited.items():
                    if target is not None and target_of(file) == target:
                        os.close(file)
                warm = Warm(self, request)
                os.write(writer, b"-")
                os.close(writer)
            except BaseException as error:
                os.write(writer, f"{error}".encode()[:1000])
                os._exit(1)
            warm.serve()
            return None
        os.close(writer)
        if pid is None:
            os.close(reader)
            return problem
        with open(reader, "rb") as told:
            said = told.read().decode(errors="replace")
        return "" if said == "-" else said or "the process that was to stay ended"

    def _become_worker(self, files, variables, close):
        """Takes the place of a process that was started for this worker alone."""
        _lead_group(os.getpid())
        for number, file in enumerate(files):
            os.dup2(file, number)
            os.close(file)
        close()
        for file in self._held:
            os.close(file)
        for name, value in variables.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        if gc.get_threshold()[0] == NEVER:
            gc.set_threshold(*self._thresholds)
        _reseed()


def _fork():
    """The child's number, 0 in the child itself; or None and why there is none."""
    import warnings

    with warnings.catch_warnings():
        # Python warns of threads, which most libraries start when they are imported.
        warnings.simplefilter("ignore")
        try:
            return os.fork(), None
        except OSError as error:
            return None, str(error)


def _lead_group(pid):
    """Puts a child into a group of its own; both sides do it, so that it is true for both."""
    try:
        os.setpgid(pid, pid)
    except (ProcessLookupError, PermissionError):
        pass  # It has ended, or has it already.


def _signal_group(pid, number):
    """Sends a signal to a child's group, whose number is its own until the child is reaped."""
    try:
        os.killpg(pid, number)
    except (ProcessLookupError, PermissionError):
        pass


def _reseed():
    """Gives this process random numbers of its own, as Python's `random` does by itself."""
    numpy_random = sys.modules.get("numpy.random")
    if numpy_random is not None:
        numpy_random.seed()
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.seed()


def _clash(sources):
    """Why a stage's file could not be imported by its name, or None."""
    for source in sources:
        stem = os.path.splitext(os.path.basename(source["file"] or ""))[0]
        if stem in sys.modules:
            return f"a module that was imported has the name of the stage's file, `{stem}`"
    return None
