"""The program of a worker: it runs one stage's code in its environment.

It speaks frames over the socket that it gets as standard input, and ends when that closes. Python
compiles a program anew at each start, and what it imports only once, so there is little here.

Read on in `curator_frames.py` (the socket), `curator_proof.py` (the environment), `curator_code.py`
(the stage's code), `curator_late.py` (what that declares as it runs) and `curator_batches.py` (its
work, with `curator_arenas.py` and `curator_streams.py` for large data and tables). Stages see
`curator_stage.py`.
"""

import os
import sys


def follow_parent(lifeline, group):
    """Has the kernel kill this whole process group when the parent's end of the pipe closes.

    A signal to the group also reaches the children that the stage's code started, needs no thread,
    and works while C code holds the interpreter.
    """
    import fcntl
    import select
    import signal

    # The group is the parent's word, and never one that this process has not been put into.
    if os.getpgrp() != group:
        return
    if not hasattr(fcntl, "F_SETSIG"):  # macOS
        _follow_parent_by_thread(lifeline)
        return
    fcntl.fcntl(lifeline, fcntl.F_SETOWN, -group)
    fcntl.fcntl(lifeline, fcntl.F_SETSIG, signal.SIGKILL)
    flags = fcntl.fcntl(lifeline, fcntl.F_GETFL)
    fcntl.fcntl(lifeline, fcntl.F_SETFL, flags | os.O_ASYNC)
    poll = select.poll()
    poll.register(lifeline, 0)
    if poll.poll(0):  # It closed before the kernel was asked to watch it.
        os.killpg(0, signal.SIGKILL)


def _follow_parent_by_thread(lifeline):
    """Kills the group from a thread, which has to wait while C code holds the interpreter."""
    import _thread
    import signal

    def watch():
        os.read(lifeline, 1)  # Nothing is ever written: this returns at the end of the pipe.
        os.killpg(0, signal.SIGKILL)

    _thread.start_new_thread(watch, ())


def _work(channel, worker, is_timed, clock):
    """Works off batches until the socket closes."""
    from curator_frames import ARENAS, FLUSH_NANOSECONDS

    flushed = clock()
    while True:
        frame = channel.receive()
        if frame is None:
            return
        kind, sequence, meta, body = frame
        if kind == ARENAS:
            files, channel.descriptors = channel.descriptors[:2], channel.descriptors[2:]
            worker.arenas.replace(files, os.fstat(files[0]).st_size)
            continue
        now = worker.batch(sequence, meta, body, clock)
        if (
            is_timed
            or not channel.has_pending()
            or channel.is_full()
            or now - flushed > FLUSH_NANOSECONDS
        ):
            channel.flush()
            flushed = now


def connect():
    """Takes the engine's socket from standard input: a channel and what its first frame says, or
    None where it has closed."""
    import _socket  # The public `socket` module costs milliseconds that this needs nothing of.
    import json
    import struct

    from curator_frames import START, Channel
    from curator_plain import of_any_size

    control = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM, 0, os.dup(0))
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)

    channel = Channel(control, struct)
    channel.accept_files(_socket)
    first = channel.receive()
    if first is None:
        return None
    kind, _, meta, _ = first
    if kind != START:
        raise RuntimeError(f"the first frame must be a start, not {kind}")
    start = of_any_size(json.loads, meta)
    # The first descriptor is the lifeline; the rest are locks that last as long as this process.
    channel.held, channel.descriptors = channel.descriptors, []
    follow_parent(channel.held[0], start["group"])
    return channel, start


def _await_devices(channel, json):
    """Waits until this worker has its devices; false if the engine is gone."""
    frame = channel.receive()
    if frame is None:
        return False
    visible = json.loads(frame[2])["visible"]
    if visible is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = visible
    return True


def _begin(folder, json):
    """Tells which environment this is, and becomes a template if that is wanted: then it returns in
    the workers that are forked from it. None if the engine is gone."""
    has_bytecode = False
    while True:
        connected = connect()
        if connected is None:
            return None
        channel, start = connected

        def send(kind, value, channel=channel):
            channel.send(kind, 0, json.dumps(value).encode())
            channel.flush()

        sys.path.insert(0, folder)
        from curator_frames import PROOF, READY
        from curator_proof import proof

        sys.path.remove(folder)
        send(PROOF, proof(start["packages"], json))
        if start["bytecode"] is not None and not has_bytecode:
            sys.path.insert(0, folder)
            from curator_bytecode import offer

            sys.path.remove(folder)
            offer(**start["bytecode"])
            has_bytecode = True
        if not start.get("is_template"):
            if start["awaits_devices"] and not _await_devices(channel, json):
                return None
            return channel, start, send

        sys.path.insert(0, folder)
        from curator_template import Template

        sys.path.remove(folder)
        template = Template(channel, start)
        problem = template.preload()
        send(READY, {"problem": problem, "warning": template.warning})
        template.serve(send)


def _serve():
    """Does a worker's work; returns the module that its stage comes from, if any."""
    import json
    from time import perf_counter_ns

    # Python 3.9 and 3.10 have no `-P`; under `-I` the folder is not there.
    folder = os.path.dirname(os.path.abspath(__file__))
    if not getattr(sys.flags, "safe_path", False) and sys.path[:1] == [folder]:
        del sys.path[0]
    # These are ours, whatever the environment or the stage calls by their names.
    sys.path.insert(0, folder)
    from curator_batches import Worker
    from curator_code import describe_error
    from curator_frames import BYE, FAILED, LOADED, READY

    sys.path.remove(folder)

    begun = _begin(folder, json)
    if begun is None:
        return None
    channel, start, send = begun

    # Last on the path: whatever the environment or the stage calls by this name comes first.
    sys.path.append(folder)
    worker = Worker(channel, json)
    module = start["code"].get("module")
    pid = os.getpid()
    phase = "load"
    try:
        worker.load(start)
        # Before any hook runs: they may be the wrong environment's.
        send(LOADED, worker.declarations.known)
        phase = "setup"
        while not worker.is_set_up:
            frame = channel.receive()
            if frame is None:
                return module
            orders = json.loads(frame[2])
            worker.setup(**orders)
            when = "setup_on_node" if orders["on_node"] else "setup"
            send(READY, worker.declarations.since(when))
    except BaseException as error:
        if os.getpid() != pid:
            raise  # It is a forked child's own.
        send(FAILED, {"phase": phase, "error": describe_error(error)})
        return module

    # Where tasks have a time limit a result must not wait behind a task that hangs.
    _work(channel, worker, start["is_timed"], perf_counter_ns)

    problem = None
    try:
        worker.teardown()
    except BaseException as error:
        if os.getpid() != pid:
            raise
        problem = describe_error(error)
    try:
        send(BYE, {"error": problem})
    except OSError:
        pass  # The parent is gone, and with it the reader.
    return module


if __name__ == "__main__":
    stage_module = _serve()
    # What the stage held is gone by now, as it is when Python itself ends.
    if "curator_template" in sys.modules:  # It was forked.
        [before_fork] = sys.modules["curator_template"].BEFORE_FORK
        sys.modules["curator_leave"].leave(stage_module, before_fork)
