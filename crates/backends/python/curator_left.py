"""What imports have left behind that a fork would cut short, or have workers share: open files,
shared memory, threads, processes, timers, files that go with a process.

A worker that is forked after such an import would differ from one that makes the import itself.
"""

import os
import stat
import sys

__all__ = ["Before", "open_files", "target_of"]

# Functions that take a file or folder away.
_REMOVERS = ("cleanup", "remove", "removedirs", "rmdir", "rmtree", "unlink")
_REMOVING = ("os", "pathlib", "posix", "shutil", "tempfile")

_TIMERS = range(3)


class Before:
    """What this process had before its imports."""

    def __init__(self):
        import atexit

        self._files = open_files()
        self._streams = [target_of(number) for number in range(3)]
        self._memory = _shared_memory()
        self.pid = os.getpid()
        self._hooks = []
        self._atexit, self._register = atexit, atexit.register

        def register(function, /, *args, **named):
            self._hooks.append(function)
            return self._register(function, *args, **named)

        # What a process does at its end can be seen only while it is put down.
        atexit.register = register

    def end(self):
        """Ends the watch. A process that an import has forked ends here if it comes so far: nothing
        but this one answers to the engine."""
        if os.getpid() != self.pid:
            os._exit(0)
        self._atexit.register = self._register

    def left(self):
        """What speaks against a fork, or None."""
        return (
            _initialised()
            or _threads()
            or _processes()
            or self._opened()
            or self._shared()
            or self._to_be_removed()
        )

    def _opened(self):
        found = None
        for number in sorted(open_files() - self._files, key=int):
            target = target_of(number)
            if target is None:
                continue  # The listing's own.
            if target.startswith(("/dev/nvidia", "/dev/kfd", "/dev/dri/")):
                return "an import opened a GPU"
            if target.startswith("socket:"):
                kind = "a network connection" if _is_inet(int(number)) else "a socket"
                found = found or f"an import opened {kind}"
            elif not _is_device(int(number)):
                # Workers would share the place in it, and what it is told.
                found = found or f"an import holds `{target}` open"
        if [target_of(number) for number in range(3)] != self._streams:
            found = found or "an import put something in the place of a standard stream"
        return found

    def _shared(self):
        if _shared_memory() - self._memory:
            return "an import made memory or a lock that workers would share"
        return None

    def _to_be_removed(self):
        weakref = sys.modules.get("weakref")
        hooks = list(self._hooks)
        if weakref is not None:
            hooks += [info.func for info in list(weakref.finalize._registry.values())]
        for hook in hooks:
            hook = getattr(hook, "func", hook)
            hook = getattr(hook, "__func__", hook)
            name, module = getattr(hook, "__name__", ""), getattr(hook, "__module__", "")
            if name.lstrip("_") in _REMOVERS and str(module).partition(".")[0] in _REMOVING:
                return "an import made a file or folder that goes with its process"
        return None


def _initialised():
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        return "an import initialised CUDA"
    return None


def _threads():
    import _thread

    if not _thread._count():
        return None
    threading = sys.modules.get("threading")
    found = threading.enumerate()[1:4] if threading is not None else []
    names = ", ".join(thread.name for thread in found)
    return f"an import started threads in Python ({names or 'without a name'})"


def _processes():
    import _signal

    if _has_children():
        return "an import started a process"
    # A handler that waits for children would take the workers' ends from the template.
    if _has_own_way_with(_signal.SIGCHLD):
        return "an import handles the ends of child processes"
    if any(_signal.getitimer(timer)[0] for timer in _TIMERS):
        return "an import started a timer"
    return None


def _has_own_way_with(signal):
    """Whether a signal is ignored or handled, by Python or by a library."""
    with open("/proc/self/status", "rb") as status:
        sets = [line.split()[1] for line in status if line.startswith((b"SigIgn", b"SigCgt"))]
    return any(int(of, 16) >> (signal - 1) & 1 for of in sets)


def _has_children():
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def target_of(number):
    """What an open file is, or None where there is none."""
    try:
        return os.readlink(f"/proc/self/fd/{number}")
    except OSError:
        return None


def open_files():
    """The numbers of the files that are open, as texts."""
    files = os.listdir("/proc/self/fd")
    # One of them was the listing's own, which is closed by now.
    return {file for file in files if os.path.lexists(f"/proc/self/fd/{file}")}


def _shared_memory():
    """The places of memory that a fork would have both processes write to."""
    found = set()
    with open("/proc/self/maps", "rb") as maps:
        for line in maps:
            place, rights = line.split(None, 2)[:2]
            if rights.startswith(b"rw") and rights.endswith(b"s"):
                found.add(place)
    return found


def _is_device(number):
    try:
        return stat.S_ISCHR(os.fstat(number).st_mode)
    except OSError:
        return True


def _is_inet(number):
    import _socket

    copy = _socket.socket(fileno=os.dup(number))
    try:
        return copy.family in (_socket.AF_INET, _socket.AF_INET6)
    finally:
        copy.close()
