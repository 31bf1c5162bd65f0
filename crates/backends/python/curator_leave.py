"""The end of a worker that was forked from a template, as Python ends a process, except that what
had been imported before the fork stays as it is.

Python would take that apart, object by object. This takes time, and writes into the pages that the
workers share: at the end of a run each would have a copy of all. None of the stage's code ran
before the fork, and no import left something to be ended; so what is to be ended came after it.
"""

import _io
import atexit
import gc
import os
import sys

from curator_imports import is_installed

__all__ = ["BeforeFork", "leave"]


class BeforeFork:
    """What workers have from their template. It is made there, since to count what is frozen takes
    longer than a fork."""

    def __init__(self):
        self.modules = set(sys.modules)
        self.frozen = gc.get_freeze_count()


def leave(module, before):
    """Ends a forked worker, of a stage from this module."""
    threading = sys.modules.get("threading")
    if threading is not None:
        threading._shutdown()  # It waits for threads that are no daemons.
    try:
        atexit._run_exitfuncs()
    except BaseException:
        pass  # It has been printed.
    if threading is not None:
        # In Python's own end daemons no longer run. Here they may find their files closed.
        threading.excepthook = lambda _: None
    if gc.get_freeze_count() > before.frozen:
        gc.unfreeze()  # The stage's code has taken its objects out of the collector's sight.

    # Held, so that no collection closes a file before that which writes into it: the files stay
    # open for what the stage's objects do at their ends.
    streams = _streams()
    own = (module or "").partition(".")[0]
    for name in [name for name in sys.modules if name not in before.modules]:
        root = name.partition(".")[0]
        if root == own or not is_installed(root):
            del sys.modules[name]
    gc.collect()
    # What a library, a thread, a handler or C holds still.
    objects = gc.get_objects()
    kinds = {type(one) for one in objects}
    kinds = {kind for kind in kinds if hasattr(kind, "__del__") and not _is_of_streams(kind)}
    for one in objects:
        if type(one) in kinds and not gc.is_finalized(one):
            _quietly(type(one).__del__, one)
    del objects
    known = {id(stream) for stream in streams}
    streams += [stream for stream in _streams() if id(stream) not in known]
    _flush()
    for stream in _uppermost_first(streams):
        _quietly(stream.close)
    os._exit(0)


def _is_stream(one):
    # By its type: an object may do anything where it is asked for its class.
    return _is_of_streams(type(one))


def _is_of_streams(kind):
    # Those of `io` are no more than registered for C's own kinds.
    return _io._IOBase in kind.__mro__


def _streams():
    """The files that were opened since the fork, except the standard streams."""
    standard = [sys.stdin, sys.stdout, sys.stderr, sys.__stdin__, sys.__stdout__, sys.__stderr__]
    standard = [stream for stream in standard if stream is not None and _is_stream(stream)]
    kept = set()
    while standard:
        stream = standard.pop()
        if id(stream) not in kept:
            kept.add(id(stream))
            standard += _below(stream)
    return [one for one in gc.get_objects() if _is_stream(one) and id(one) not in kept]


def _uppermost_first(streams):
    """The streams in such an order that each is closed before those that it writes into.

    Some write into each other: compressed files have a buffer that writes into them. There the
    one that knows more of the format comes first.
    """
    order, seen = [], set()
    for stream in sorted(streams, key=_rank):
        # Depth first, with a stream after all that it writes into.
        path = [(stream, iter(_below(stream)))] if id(stream) not in seen else []
        seen.add(id(stream))
        while path:
            below = next((one for one in path[-1][1] if id(one) not in seen), None)
            if below is None:
                order.append(path.pop()[0])
            else:
                seen.add(id(below))
                path.append((below, iter(_below(below))))
    wanted = {id(stream) for stream in streams}
    return [stream for stream in reversed(order) if id(stream) in wanted]


def _rank(stream):
    kinds = type(stream).__mro__
    if _io._TextIOBase in kinds:
        return 0
    if _io._RawIOBase in kinds:
        return 3
    return 2 if kinds[0].__module__ == "_io" else 1


def _below(stream):
    """The streams that a stream refers to, by itself or by its attributes."""
    found = gc.get_referents(stream)
    found += [value for one in found if type(one) is dict for value in one.values()]
    return [one for one in found if _is_stream(one)]


def _quietly(end, *given):
    try:
        end(*given)
    except BaseException:
        pass  # Python could not raise it here, either.


def _flush():
    """Writes out what Python and C have for the standard streams."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (AttributeError, OSError, ValueError):
            pass  # There is none, or nothing reads it.
    try:
        import ctypes

        ctypes.CDLL(None).fflush(None)
    except (ImportError, OSError, AttributeError):
        pass
