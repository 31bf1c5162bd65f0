"""The driver of an engine on Ray: a process in the base environment, between a program and Ray.

It exchanges frames with the program that runs the pipeline, over the socket on its standard input:
a job, then tasks; notes, outputs and a final message come back. When the socket closes, the run is
cancelled, and everything that belongs to it is ended.
"""

import contextlib
import importlib
import json
import os
import re
import socket
import struct
import sys
import threading
import time
import traceback

_START, _BATCH, _FINISH = 1, 3, 4
_RESULT, _FAILED, _BYE, _NOTE = 67, 68, 69, 70

# The module of each engine, and the base's packages for it: the least version, and the upper
# bound.
_RAY = ("ray", "2.50", "3")
_ENGINES = {
    "ray-data": ("curator_ray_data", [_RAY, ("pyarrow", "10", None), ("pandas", "1", None)]),
    "ray-actor-pool": ("curator_ray_actor_pool", [_RAY]),
    # Each 0.x may break this, since its private functions are used here.
    "xenna": ("curator_ray_xenna", [_RAY, ("cosmos-xenna", "0.2", "0.4")]),
}
_EXTRAS = {"ray-data": "[data]", "xenna": "[default]"}

# Options of a stage that ask for an actor of NeMo Curator's own.
NEMO_CURATOR_ONLY = dict.fromkeys(
    ("is_raft_actor", "is_lsh_stage", "is_shuffle_stage"), "only stages of NeMo Curator have it"
)

# Ray's text before the error of a package manager.
_INSTALLER = "Last 50 lines of stdout:"
# Time limit for a cluster to answer, in seconds.
_CONNECT_LIMIT = 10


class GivenUpError(Exception):
    """The run cannot continue: its only argument is the reason, as the program reads it."""


def setting(name, problem):
    """A setting that the engine refuses."""
    return GivenUpError({"setting": {"setting": name, "problem": problem}})


def check_resources(stage, cpus, gpus):
    """Refuses a worker that fits no node: an engine would wait for a place forever."""
    import ray

    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    for kind, amount in (("CPU", cpus), ("GPU", gpus)):
        most = max((node.get(kind, 0) for node in nodes), default=0)
        if amount > most:
            raise setting(
                f"resources of stage `{stage}`",
                f"ask for {amount:g} {kind}s for a worker, and no node has more than {most:g}",
            )


class Cluster:
    """The engine's view of a run: the stages, the tasks, and a way to return outputs."""

    def __init__(self, job, tasks, emit, note):
        self.stages = job["stages"]
        self.options = job["options"]
        # Another cluster may grow later.
        self.is_own = _is_own(job)
        self.tasks = tasks
        # The nodes share one copy in Ray's store, whatever the number of actors.
        self.job = None
        self.reporter = None
        self.emit = emit
        self._note = note

    def warn(self, stage, message):
        self._note("", {"event": {"event": "warning", "stage": stage, "message": message}})

    def warn_without_effect(self, stage, spec, options):
        """Warns of a stage's options that have no effect here, with the reason."""
        for name, reason in options.items():
            if stage[spec].get(name):
                self.warn(stage["name"], f"`{name}` is without effect: {reason}")


class _Driver:
    def __init__(self, channel):
        self._channel = channel
        self._lock = threading.Lock()
        self._is_over = False
        self.job = None
        self._cluster = None
        self._tasks = []
        self._prepared = []
        self._preparing = None
        self._fed = threading.Event()
        self._ended = threading.Event()
        self._cleaning = threading.Lock()
        self._is_clean = False

    def send(self, kind, meta, parts=()):
        # Without a program there is no reader, and `_read` cancels the run.
        with self._lock, contextlib.suppress(OSError):
            self._channel.send(kind, 0, meta, parts)
            self._channel.flush()

    def note(self, host, note):
        text = note if isinstance(note, bytes) else json.dumps(note).encode()
        self.send(_NOTE, b'{"host":"%s","note":%s}' % (host.encode(), text))

    def give_up(self, reason):
        """Warns once."""
        with self._lock:
            if self._is_over:
                return
            self._is_over = True
        self.send(_FAILED, json.dumps(reason).encode())

    def cause(self):
        """Returns the failure on a node that caused the engine's error, if there is one."""
        import ray

        try:
            notes, fault = ray.get(self._cluster.reporter.drain.remote(0), timeout=5)
        except Exception:
            return None  # It had not come that far, or Ray is gone.
        for host, note in notes:
            self.note(host, note)
        return {"fault": json.loads(fault)} if fault else None

    def emit(self, tasks):
        if tasks:
            self.send(_RESULT, json.dumps([len(task) for task in tasks]).encode(), tasks)

    def run(self):
        frame = self._channel.receive()
        if frame is None:
            return
        job = self.job = json.loads(frame[2])
        engine = job["engine"]
        _check_base(engine)
        threading.Thread(target=self._read, daemon=True).start()
        if _is_own(job) and not job["init"].get("runtime_env") and _cached(job):
            # The node will be this machine, so that an impossible stage is reported before Ray
            # starts.
            self._preparing = threading.Thread(target=self._prepare_here, daemon=True)
            self._preparing.start()
        self._connect(job)
        self._fed.wait()
        tasks, self._tasks = self._tasks, []
        self._cluster = Cluster(job, tasks, self.emit, self.note)
        self._share(job)
        listener = threading.Thread(target=self._listen, daemon=True)
        listener.start()
        importlib.import_module(_ENGINES[engine][0]).run(self._cluster)
        self._finish()
        self._ended.set()
        listener.join()
        with self._lock:
            is_over, self._is_over = self._is_over, True
        if not is_over:
            self.send(_BYE, b"{}")

    def _read(self):
        """Takes the tasks; the end of the socket, at any time, is the order to cancel."""
        try:
            while (frame := self._channel.receive()) is not None:
                kind, _, meta, body = frame
                if kind == _FINISH:
                    self._fed.set()
                    continue
                view, at = memoryview(body), 0
                for length in json.loads(meta):
                    self._tasks.append(bytes(view[at : at + length]))
                    at += length
        except Exception:
            pass  # What comes after the end of the program is no frame.
        if self._ended.is_set():
            return
        self._is_over = True
        self.clean_up()
        os._exit(1)

    def _prepare_here(self):
        """Makes the environments on this machine, for a private Ray of the run."""
        import curator_ray_node as node

        node.sweep()
        try:
            run_dir = node.make_run_dir(self.job["run"], "here")
        except node.StageFailedError as error:
            self.give_up({"fault": json.loads(error.args[0])})
            return
        except (OSError, node.RunOverError):
            return  # An actor reports the former.
        place = {
            "base": sys.executable,
            "node": os.uname().nodename,
            "run_dir": run_dir,
            "cache_dir": self.job["cache_dir"],
            "python_path": "",
        }
        failed = node.prepare(
            self.job["program"], place, _cached(self.job), lambda note: self.note("", note)
        )
        if failed:
            self.give_up({"fault": json.loads(failed)})

    def _connect(self, job):
        import curator_ray_node as node
        import ray

        init = {"log_to_driver": True, "logging_level": "WARNING", **job["init"]}
        if "address" in init:
            _knock(init["address"])
        else:
            # Without it, Ray takes the cluster in `RAY_ADDRESS`, or one that was started here.
            init["address"] = "local"
            os.environ[node.MARK] = job["run"]
            # Xenna asks the dashboard about its actors; the others save its start-up time.
            init.setdefault("include_dashboard", job["engine"] == "xenna")
        if job["engine"] == "xenna":
            # As Xenna itself starts Ray: it places workers on devices, and lists many actors.
            os.environ["RAY_EXPERIMENTAL_NOSET_CUDA_VISIBLE_DEVICES"] = "1"
            os.environ["RAY_MAX_LIMIT_FROM_API_SERVER"] = "40000"
            os.environ["RAY_MAX_LIMIT_FROM_DATA_SOURCE"] = "40000"
        ray.init(**init)
        # There may be other clusters on this machine.
        os.environ["RAY_ADDRESS"] = ray.get_runtime_context().gcs_address
        given = ray.get_runtime_context().runtime_env
        for field in ("pip", "uv", "conda", "py_executable", "image_uri", "container"):
            if given.get(field):
                raise GivenUpError({"job_installer": {"field": field}})

    def _share(self, job):
        """Gives the nodes the parts of the job that they need, and makes them prepare
        environments."""
        import curator_ray_actor as actor
        import ray

        carry(job["engine"])
        nodes = [node["NodeID"] for node in ray.nodes() if node["Alive"]]
        here = ray.get_runtime_context().get_node_id()
        shared = {key: job[key] for key in ("run", "policy", "cache_dir", "stages")}
        shared["program"] = {"path": job["program"], "node": here}
        cluster = self._cluster
        cluster.job = ray.put(shared)
        cluster.reporter = _on(here, actor.Reporter).remote(job["program"])
        if _cached(job) and not self._preparing:
            self._prepared = [
                _on(node, actor.prepare_node).remote(cluster.job, cluster.reporter)
                for node in nodes
            ]

    def _listen(self):
        """Passes on the nodes' notes, until the run is over."""
        import ray

        pending = list(self._prepared)
        while True:
            is_last = self._ended.is_set()
            try:
                drained = self._cluster.reporter.drain.remote(0 if is_last else 0.5)
                notes, fault = ray.get(drained)
                ready, pending = ray.wait(pending, num_returns=len(pending), timeout=0)
                for prepared in ready:
                    fault = fault or _fault_of(prepared)
            except Exception:
                if not self._is_over:
                    self.give_up(_engine_words(self.job))
                return
            for host, note in notes:
                self.note(host, note)
            if fault:
                self.give_up({"fault": json.loads(fault)})
                return
            if is_last:
                return

    def _finish(self):
        """Makes all nodes end the remains of the run."""
        import curator_ray_actor as actor
        import ray

        if self._preparing:
            self._preparing.join()
        if self._prepared:
            ray.wait(self._prepared, num_returns=len(self._prepared))
        alive = [node["NodeID"] for node in ray.nodes() if node["Alive"]]
        ended = [_on(node, actor.finish_node).remote(self._cluster.job) for node in alive]
        for reference in ended:
            try:
                ray.get(reference)
            except ray.exceptions.RayError:
                pass  # A node that is gone has nothing left to end.

    def clean_up(self):
        """Ends the remains of a run that failed or was cancelled, and leaves Ray.

        The end of the socket and the failure that it brings about in the engine may both ask for
        it: the second waits for the first.
        """
        with self._cleaning:
            if not self._is_clean:
                self._clean_up()
                self._is_clean = True

    def _clean_up(self):
        import curator_ray_node as node

        if _is_own(self.job):
            # Whatever it does, it is no longer needed.
            node.end_run(self.job["run"], node.ABORT_LIMIT)
            node.end_processes(self.job["run"])
            return
        # Ray may not release this process.
        threading.Thread(
            target=self._leave_after, args=(node.ABORT_LIMIT * 2,), daemon=True
        ).start()
        if self._cluster is not None:
            self._finish_nodes(node.ABORT_LIMIT)
        if "ray" in sys.modules:
            sys.modules["ray"].shutdown()
        # For processes that an actor started after its node had finished.
        node.end_run(self.job["run"], 1)

    def _finish_nodes(self, limit):
        import curator_ray_actor as actor
        import ray

        try:
            alive = [node["NodeID"] for node in ray.nodes() if node["Alive"]]
            ended = [
                _on(node, actor.finish_node).remote(self._cluster.job, limit) for node in alive
            ]
            ray.wait(ended, num_returns=len(ended), timeout=limit)
        except Exception:
            pass  # It had not come that far, or Ray is gone.

    def _leave_after(self, seconds):
        import curator_ray_node as node

        time.sleep(seconds)
        node.end_run(self.job["run"], 1)
        os._exit(1)

    def leave(self):
        """Leaves Ray; nothing of the run stays."""
        if self._ended.is_set():
            import curator_ray_node as node

            sys.modules["ray"].shutdown()
            node.end_run(self.job["run"], 1)
            node.end_processes(self.job["run"])
        elif self.job is not None:
            self.clean_up()


def _is_own(job):
    """Returns whether the run has a private Ray."""
    return "address" not in job["init"]


def _cached(job):
    """Returns the stages whose environments come from the cache: those that Ray does not serve."""
    return [stage["request"] for stage in job["stages"] if not stage["is_native"]]


def carry(engine):
    """Sends the code for the nodes as a whole, since they have none of our files."""
    import ray

    for name in ("curator_ray_actor", "curator_ray_node", "curator_frames", _ENGINES[engine][0]):
        ray.cloudpickle.register_pickle_by_value(importlib.import_module(name))


def _on(node, what):
    """Returns a task or an actor of ours on this node, which occupies no resources."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    options = {"scheduling_strategy": NodeAffinitySchedulingStrategy(node, soft=False)}
    if not isinstance(what, type):
        options["max_retries"] = 0
    return ray.remote(what).options(num_cpus=0, **options)


def _knock(address):
    """Refuses an address without an answer: Ray itself would try it for many minutes."""
    host, colon, port = address.rpartition(":")
    if not colon:
        return  # `auto`, or another name that Ray knows.
    try:
        socket.create_connection((host.strip("[]"), int(port)), _CONNECT_LIMIT).close()
    except (OSError, ValueError) as error:
        raise setting("address", f"is `{address}`, where no Ray answers: {error}") from None


def _fault_of(prepared):
    """Returns what kept a node from preparing anything, if something did."""
    import curator_ray_node as node
    import ray

    try:
        ray.get(prepared)
    except ray.exceptions.RayTaskError as error:
        cause = error.cause
        if isinstance(cause, node.StageFailedError):
            return cause.args[0]
        return node.fault("a node could not be prepared", str(cause))
    except ray.exceptions.RayError:
        pass  # The node is gone; an actor on another node prepares that node.
    return None


def _check_base(engine):
    """Refuses a base that lacks the engine's packages, or has unsupported versions of them."""
    from importlib.metadata import PackageNotFoundError, version

    for name, least, below in _ENGINES[engine][1]:
        extras = _EXTRAS.get(engine, "") if name == "ray" else ""
        try:
            found = version(name)
        except PackageNotFoundError:
            found = "none"
        fits = found != "none" and _release(least) <= _release(found)
        if not fits or (below and _release(found) >= _release(below)):
            requirement = f"{name}{extras}>={least}" + (f",<{below}" if below else "")
            raise GivenUpError({"missing": {"requirement": requirement, "found": found}})


def _release(version):
    return [int(part) for part in re.findall(r"\d+", version)[:2]]


def _engine_words(job):
    """Returns the engine's error: its phase and last message, and all messages."""
    error = sys.exc_info()[1]
    chain = [error]
    while chain[-1].__cause__ is not None:
        chain.append(chain[-1].__cause__)
    # The innermost one with a message; Ray's last error may have none.
    telling = [cause for cause in chain if str(cause).strip()] or chain
    installing = [cause for cause in telling if _INSTALLER in str(cause)]
    cause = (installing or telling)[-1]
    lines = [line.strip() for line in str(cause).splitlines() if line.strip()]
    words = lines[0] if lines else ""
    if words.endswith(":"):
        # A text that it announces is the important one: the versions of a cluster, for one.
        words = " ".join(lines)
    at = None
    if _INSTALLER in lines:
        # An environment of Ray's own: the package manager's error is at the end. Ray does not say
        # which stage it is for.
        words = " ".join(lines[lines.index(_INSTALLER) + 1 :])
        stages = [stage["name"] for stage in job["stages"] if _is_named_in(stage, words)]
        at = f"no environment for stage {' or '.join(stages)}" if stages else None
    elif cause is not error:
        at = (str(error).splitlines() or [type(error).__name__])[0]
    name = type(cause).__name__
    if name not in words:
        words = f"{name}: {words}" if words else name
    words = f"{at}: {words}" if at else words
    return {"engine": {"words": words, "detail": traceback.format_exc()}}


def _is_named_in(stage, words):
    """Returns whether the words name a package that Ray installs for the stage."""
    for field in ("pip", "uv"):
        packages = (stage["runtime_env"].get(field) or {}).get("packages", [])
        names = [re.split(r"[\s\[<>=!~;@]", package, maxsplit=1)[0] for package in packages]
        if any(name and _has_word(name, words) for name in names):
            return True
    return False


def _has_word(name, words):
    # Where a package's name ends, a version may follow, but no more of a name.
    return re.search(rf"(?<![\w.-]){re.escape(name)}(?![\w-])", words, re.IGNORECASE)


def main():
    control = socket.socket(fileno=os.dup(0))
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    sys.path.append(os.path.dirname(os.path.abspath(__file__)))
    # The engines import this module by its name.
    sys.modules["curator_ray"] = sys.modules["__main__"]
    import curator_frames

    channel = curator_frames.Channel(control, struct)
    driver = _Driver(channel)
    try:
        driver.run()
    except GivenUpError as reason:
        driver.give_up(reason.args[0])
    except BaseException:
        # The cause may have been reported already.
        driver.give_up(driver.cause() or _engine_words(driver.job))
    finally:
        driver.leave()
    # The reader of Ray's own final message has gone.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
