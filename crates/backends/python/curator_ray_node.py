"""The part of a run on a machine that needs no Ray: making environments, and cleaning up.

Started as a program, it ends a run whose driver is gone: `curator_ray_node.py RUN`.
"""

import contextlib
import errno
import fcntl
import glob
import json
import os
import signal
import stat
import subprocess
import sys
import tempfile
import time

# The first argument of the program that runs the pipeline, if it is a worker.
ROLE = "curator-worker"
# The variable that marks the processes of a run's private Ray.
MARK = "CURATOR_RAY_RUN"

# Time limit for hosts to tear down when their run is cancelled, in seconds.
ABORT_LIMIT = 10
# Time limit for processes to end in order, and to be gone once they are killed, in seconds.
_GRACE = 1
_REAPING = 5
# Number of seconds without use after which leftovers of a run are removed: a copy of its program,
# and its folder if the run could not remove it.
_LIFE = 7 * 24 * 60 * 60
# The file with the runs that ended on this machine: a line for each, with its time.
_ENDED = "ended"
# Number of seconds for which it keeps a run. No process that was started for a run comes as late.
_ENDED_LIFE = 24 * 60 * 60


class StageFailedError(Exception):
    """The run is over: its only argument is the fault as JSON text."""


class RunOverError(Exception):
    """The run has ended on this machine, and what was started for it comes too late."""


def fault(*chain, hint=None):
    """Returns a failure on a node with its cause, as the program that runs the pipeline reads
    it."""
    return json.dumps({"other": {"chain": list(chain), "detail": None, "hint": hint}})


def cannot_start(program, node, error):
    """Returns the fault of a program that this machine cannot run."""
    return fault(
        f"the worker program `{program}` cannot be started on node {node}",
        str(error),
        hint="build the program for the platform and the C library of the nodes",
    )


def parent_dir():
    """Returns the folder of this user for all runs on this machine."""
    return os.path.join(tempfile.gettempdir(), f"curator-{os.getuid()}")


def prepare(program, place, stages, note):
    """Makes the environments of these stages here; returns a fault if one is not available.

    `note` receives each event as it happens.
    """
    request = json.dumps({"place": place, "stages": stages})
    try:
        process = subprocess.Popen(
            [program, ROLE, "prepare"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
    except OSError as error:
        return cannot_start(program, place["node"], error)
    # Its standard input stays open: the program ends when that closes, and so with this process.
    with process:
        with contextlib.suppress(BrokenPipeError):  # Its exit code tells how it ended.
            process.stdin.write(request.encode())
            process.stdin.flush()
        for line in process.stdout:
            said = json.loads(line)
            if "fault" in said:
                return json.dumps(said["fault"])
            note(json.dumps(said["note"]).encode())
    if process.returncode:
        return fault(f"the worker program ended with code {process.returncode}")
    return None


def make_run_dir(run, node):
    """Returns the folder of a run for a node of this machine, which no other user may write.

    Only this makes such a folder, and not after the run's end: Ray may start or repeat an actor
    until its job is gone, and nothing would remove what that makes.
    """
    parent = parent_dir()
    os.makedirs(parent, mode=0o700, exist_ok=True)
    _check_own_dir(parent)
    path = os.path.join(parent, f"{run}-{node}")
    with _ended_runs() as ended:
        if any(line.split()[-1:] == [run] for line in ended):
            raise RunOverError(f"run {run} is over")
        os.makedirs(os.path.join(path, "hosts"), mode=0o700, exist_ok=True)
        _check_own_dir(path)
        os.utime(path)
    return path


def _check_own_dir(path):
    found = os.lstat(path)
    if found.st_uid != os.getuid() or not stat.S_ISDIR(found.st_mode):
        raise StageFailedError(fault(f"`{path}` belongs to another user"))
    if found.st_mode & 0o022:
        hint = f"`chmod go-w {path}`, after a look at what lies there"
        raise StageFailedError(fault(f"`{path}` can be written by others", hint=hint))


@contextlib.contextmanager
def _ended_runs():
    """Opens the list of ended runs, for one process at a time."""
    with open(os.path.join(parent_dir(), _ENDED), "a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        yield file


def _note_end(run):
    """Adds a run to the list of those that ended, and drops old ones from it."""
    now = int(time.time())
    with _ended_runs() as ended:
        fields = [line.split() for line in ended]
        kept = [
            f"{since} {other}\n"
            for since, other in (pair for pair in fields if len(pair) == 2)
            if since.isdigit() and now - int(since) < _ENDED_LIFE and other != run
        ]
        ended.seek(0)
        ended.truncate()
        ended.writelines([*kept, f"{now} {run}\n"])


def end_run(run, limit):
    """Ends the remains of a run on this machine except its Ray: its hosts and its folders."""
    if not _is_own_dir(parent_dir()):
        return
    with contextlib.suppress(OSError):  # A full disk, for one, must not keep the rest.
        _note_end(run)
    for path in _run_dirs(f"{run}-*"):
        _finish_run_dir(path, time.monotonic() + limit)


def _run_dirs(pattern):
    """Returns the folders of runs; none if their parent belongs to another user."""
    parent = parent_dir()
    if not _is_own_dir(parent):
        return []
    return [path for path in glob.glob(os.path.join(parent, pattern)) if _is_own_dir(path)]


def _is_own_dir(path):
    try:
        found = os.lstat(path)
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid()


def _finish_run_dir(path, deadline):
    """Makes the hosts of a run tear down, ends the remaining ones, and removes the run's folder.

    Another process may do it at the same time.
    """
    while os.path.isdir(path):
        # Hosts check for it: they tear down even if their actors still exist.
        with contextlib.suppress(OSError), open(os.path.join(path, "over"), "w"):
            pass
        for host in glob.glob(os.path.join(glob.escape(path), "hosts", "*")):
            with contextlib.suppress(FileNotFoundError), open(host, "rb") as file:
                _await_end(file, int(os.path.basename(host)), deadline)
        remove_tree(path)
        # A host that came late, or is being killed, kept the folder.
        if time.monotonic() > deadline + _GRACE:
            return
        time.sleep(0.02)


def _await_end(file, host, deadline):
    """Waits until a host has released its file, and kills it at the deadline."""
    while not _is_free(file):
        if time.monotonic() > deadline:
            with contextlib.suppress(OSError):
                os.killpg(host, signal.SIGKILL)
            return
        time.sleep(0.02)


def remove_tree(path):
    """Deletes a folder and all below it, except what cannot be deleted.

    It deletes like the program itself: by open folders, through no link, on one file system only.
    """
    parent, name = os.path.split(path)
    with contextlib.suppress(OSError), _opened(parent, 0) as above:
        _remove(above, name, _mount(above))


def _remove(above, name, mount):
    try:
        with _opened(name, os.O_NOFOLLOW, above) as folder:
            if _mount(folder) != mount:
                return
            for inner in os.listdir(folder):
                with contextlib.suppress(OSError, RecursionError):
                    _remove(folder, inner, mount)
        os.rmdir(name, dir_fd=above)
    except OSError as error:
        if error.errno not in (errno.ENOTDIR, errno.ELOOP):
            raise
        os.unlink(name, dir_fd=above)


@contextlib.contextmanager
def _opened(name, flags, above=None):
    folder = os.open(name, os.O_RDONLY | os.O_DIRECTORY | flags, dir_fd=above)
    try:
        yield folder
    finally:
        os.close(folder)


def _mount(folder):
    """Returns the file system of an open folder, and its mount."""
    with contextlib.suppress(OSError), open(f"/proc/self/fdinfo/{folder}") as file:
        mounts = [line for line in file if line.startswith("mnt_id")]
        return os.fstat(folder).st_dev, mounts
    return os.fstat(folder).st_dev, []


def _is_free(file):
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def end_processes(run):
    """Ends the remains of the run's private Ray.

    Some of its processes outlive it for a while, and those with threads of their own forever.
    """
    begun, asked = time.monotonic(), set()
    while left := _marked(f"{MARK}={run}".encode()):
        passed = time.monotonic() - begun
        if passed > _GRACE + _REAPING:
            return
        for process in left:
            if passed > _GRACE or process not in asked:
                asked.add(process)
                with contextlib.suppress(OSError):  # It has ended by itself.
                    os.kill(process, signal.SIGKILL if passed > _GRACE else signal.SIGTERM)
        time.sleep(0.02)


def _marked(mark):
    """Returns the processes that were started with this variable."""
    found = []
    for path in glob.glob("/proc/[0-9]*/environ"):
        process = int(path.split("/")[2])
        try:
            with open(path, "rb") as file:
                is_marked = mark in file.read().split(b"\0")
        except OSError:
            continue  # It is gone, or another user's.
        if is_marked and process != os.getpid():
            found.append(process)
    return found


def sweep():
    """Removes leftovers of earlier runs on this machine that were not used for long."""
    for path in _run_dirs("*-*"):
        with contextlib.suppress(OSError):  # Another sweeps, too.
            if time.time() - os.stat(path).st_mtime > _LIFE and not _has_hosts(path):
                remove_tree(path)


def _has_hosts(path):
    for host in glob.glob(os.path.join(path, "hosts", "*")):
        with open(host, "rb") as file:
            if not _is_free(file):
                return True
    return False


if __name__ == "__main__":
    end_run(sys.argv[1], ABORT_LIMIT)
    end_processes(sys.argv[1])
