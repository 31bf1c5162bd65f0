"""The code on the nodes of a cluster: the host beside an actor, and a node's begin and end.

An actor does not run a stage's code. It starts the program that runs the pipeline as a *host*,
hands it tasks as bytes, and passes on the outputs; the code runs in the host's workers. Ray carries
this module to the nodes by value, with the two modules of ours that it imports.
"""

import hashlib
import json
import os
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

import curator_frames
import curator_ray_node as node
import ray

START, BATCH = 1, 3
RESULT, FAILED, BYE, NOTE = 67, 68, 69, 70

# Time limit for a stage's teardown when the run is over, in seconds.
TEARDOWN_LIMIT = 30


def node_id():
    return ray.get_runtime_context().get_node_id()


def run_dir(job):
    """Returns the folder of this run on this node."""
    return node.make_run_dir(job["run"], node_id()[:12])


def find_program(job, reporter):
    """Returns the program that runs the pipeline, on this node: the file itself, or a copy."""
    program = job["program"]
    path = program["path"]
    if node_id() == program["node"] and os.path.exists(path):
        return path
    digest = ray.get(reporter.program_digest.remote())
    if digest is None or _digest(path) == digest:
        return path
    folder = os.path.join(node.parent_dir(), f"program-{digest[:16]}")
    copy = os.path.join(folder, os.path.basename(path))
    if _digest(copy) != digest:
        os.makedirs(folder, mode=0o700, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder, delete=False) as file:
            file.write(ray.get(reporter.program.remote()))
        os.chmod(file.name, 0o700)
        os.replace(file.name, copy)
    os.utime(folder)
    return copy


def _digest(path):
    try:
        with open(path, "rb") as file:
            return _digest_of(file)
    except OSError:
        return None


def _digest_of(file):
    digest = hashlib.sha256()
    while chunk := file.read(1 << 20):
        digest.update(chunk)
    return digest.hexdigest()


def _place(job):
    return {
        "base": sys.executable,
        "node": node_id(),
        "run_dir": run_dir(job),
        "cache_dir": job["cache_dir"],
        "python_path": os.environ.get("PYTHONPATH", ""),
    }


def _start_host(job, reporter):
    """Starts the program as a host; returns the channel to it."""
    program = find_program(job, reporter)
    # For stages that ask actors of the cluster.
    address = {"RAY_ADDRESS": ray.get_runtime_context().gcs_address}
    ours, theirs = socket.socketpair()
    with theirs:
        try:
            # This process starts the host and ends, since Ray kills an actor's children.
            command = [program, node.ROLE, "start"]
            subprocess.run(command, stdin=theirs, env={**os.environ, **address}, check=True)
        except (OSError, subprocess.CalledProcessError) as error:
            ours.close()
            raise node.StageFailedError(node.cannot_start(program, node_id(), error)) from None
    return curator_frames.Channel(ours, struct)


class Host:
    """The process that runs one stage for one actor."""

    def __init__(self, job, index, reporter):
        if isinstance(job, ray.ObjectRef):
            job = ray.get(job)
        self._name = os.urandom(6).hex()
        self._reporter = reporter
        self._stage = job["stages"][index]["name"]
        number = reporter.number.remote(index)
        try:
            self._run_dir = run_dir(job)
            self._channel = _start_host(job, reporter)
        except node.StageFailedError as error:
            # An engine wraps the error of an actor's start into words of its own.
            ray.get(reporter.fail.remote(error.args[0]))
            raise
        stage = job["stages"][index]
        request = {
            "place": _place(job),
            "stage": stage["request"],
            "policy": job["policy"],
            "worker": ray.get(number),
            "is_native": stage["is_native"],
        }
        self._send(START, json.dumps(request).encode())

    def call(self, tasks):
        """Returns the outputs for some tasks; both sides are lists of bytes."""
        try:
            self._send(BATCH, json.dumps([len(task) for task in tasks]).encode(), tasks)
        except OSError:
            pass  # What it said before it ended may still be there.
        notes = []
        while True:
            try:
                frame = self._channel.receive()
            except OSError:
                frame = None
            if frame is None:
                self._fail(
                    node.fault(
                        f"the worker program of stage `{self._stage}` ended by itself on node "
                        f"{node_id()}",
                        hint="its last words are in the log of its Ray actor",
                    )
                )
            kind, _, meta, body = frame
            if kind == NOTE:
                notes.append(meta.encode())
                continue
            if notes:
                # The run's record must be complete before its result.
                ray.get(self._reporter.report.remote(self._name, notes))
            if kind == FAILED:
                self._fail(meta)
            view, at, results = memoryview(body), 0, []
            for length in json.loads(meta):
                results.append(bytes(view[at : at + length]))
                at += length
            return results

    def leave_with_run(self):
        """Ends this process, whatever its threads do, together with the run, its node or the
        actor."""
        parent, main = os.getppid(), threading.main_thread()
        while os.getppid() == parent and main.is_alive() and os.path.isdir(self._run_dir):
            time.sleep(0.2)
        os._exit(0)

    def close(self):
        """Makes the stage tear down, and waits for it."""
        self._channel._socket.shutdown(socket.SHUT_WR)
        notes = []
        while (frame := self._channel.receive()) is not None and frame[0] != BYE:
            if frame[0] == NOTE:
                notes.append(frame[2].encode())
        if notes:
            ray.get(self._reporter.report.remote(self._name, notes))

    def _fail(self, text):
        """Ends the run with this fault, whatever the engine makes of the error."""
        ray.get(self._reporter.fail.remote(text))
        raise node.StageFailedError(text)

    def _send(self, kind, meta, parts=()):
        self._channel.send(kind, 0, meta, parts)
        self._channel.flush()


class Reporter:
    """Collects events of the nodes, for the driver to fetch; it runs on the driver's node."""

    def __init__(self, program):
        import asyncio

        try:
            # Late nodes get the program that runs now, even if its file was rebuilt since.
            self._program = open(program, "rb")  # noqa: SIM115
        except OSError:
            self._program = None  # Its start reports the error.
        self._notes = []
        self._workers = {}
        self._fault = None
        self._digest = None
        self._news = asyncio.Event()

    async def report(self, host, notes):
        self._notes.extend((host, note) for note in notes)
        self._news.set()

    async def fail(self, text):
        """Keeps the first failure, which is the reported one."""
        self._fault = self._fault or text
        self._news.set()

    async def number(self, stage):
        """Returns the number of another worker of a stage, whatever node it is on."""
        self._workers[stage] = self._workers.get(stage, -1) + 1
        return self._workers[stage]

    async def program_digest(self):
        if self._program and not self._digest:
            self._program.seek(0)
            self._digest = _digest_of(self._program)
        return self._digest

    async def program(self):
        """Returns the program, for a node that does not have it."""
        self._program.seek(0)
        return self._program.read()

    async def drain(self, patience):
        """Returns the notes so far, and the first failure; waits a moment for some."""
        import asyncio

        try:
            await asyncio.wait_for(self._news.wait(), patience)
        except asyncio.TimeoutError:
            pass
        self._news.clear()
        notes, self._notes = self._notes, []
        return notes, self._fault


def prepare_node(job, reporter):
    """Makes the environments of a run on this node; a failure ends the run."""
    try:
        place = _place(job)
    except node.RunOverError:
        return
    node.sweep()
    stages = [stage["request"] for stage in job["stages"] if not stage["is_native"]]
    told = []
    failed = node.prepare(
        find_program(job, reporter),
        place,
        stages,
        lambda note: told.append(reporter.report.remote("", [note])),
    )
    ray.get(told)
    if failed:
        ray.get(reporter.fail.remote(failed))


def finish_node(job, limit=TEARDOWN_LIMIT + 5):
    """Waits until no host of this run is left on this machine, and ends the remaining ones."""
    node.end_run(job["run"], limit)
