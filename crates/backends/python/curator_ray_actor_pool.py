"""A pool of Ray actors for each stage: one stage after another, with data in Ray's store."""

import itertools
import math
import time

import ray
from curator_ray import NEMO_CURATOR_ONLY, check_resources, setting
from curator_ray_actor import Host
from ray._private.state import available_resources_per_node

_OPTIONS = {"resource_wait_timeout_s": 60.0, "reserved_cpus": 0.0, "reserved_gpus": 0.0}
# Options that have no meaning for a pool.
_WITHOUT_EFFECT = {
    **NEMO_CURATOR_ONLY,
    "min_workers": "a pool has as many workers as there is room for, or `num_workers`",
    "max_workers": "a pool has as many workers as there is room for, or `num_workers`",
    "initial_workers": "a pool has as many workers as there is room for, or `num_workers`",
}
# Poll interval of a pool without room, in seconds.
_LOOK = 0.2
# Maximum time without a connection to an actor, in seconds, before the run is cancelled.
_UNAVAILABLE_LIMIT = 60


class _Stage:
    def __init__(self, job, index, reporter):
        self._host = Host(job, index, reporter)

    def call(self, *tasks):
        """Returns each output as an object of its own, so that the next stage can make new
        batches."""
        # Ray sends into the generator, and `yield from` would pass that on to the list.
        for output in self._host.call(tasks):  # noqa: UP028
            yield output

    def close(self):
        self._host.close()


def run(cluster):
    for name, value in cluster.options.items():
        if name not in _OPTIONS:
            raise setting(name, f"is no option of the actor pools: those are {', '.join(_OPTIONS)}")
        if not isinstance(value, (int, float)) or isinstance(value, bool) or value < 0:
            raise setting(name, "is not a number from 0")
    for stage in cluster.stages:
        cluster.warn_without_effect(stage, "ray_stage_spec", _WITHOUT_EFFECT)
    tasks = cluster.tasks
    cluster.tasks = []
    for index, stage in enumerate(cluster.stages):
        try:
            tasks = _run_stage(cluster, index, tasks)
        except ray.exceptions.RayError as error:
            # Ray's own errors do not always name the stage.
            raise RuntimeError(f"stage `{stage['name']}`") from error
    for task in tasks:
        cluster.emit([task if isinstance(task, bytes) else ray.get(task)])


def _run_stage(cluster, index, tasks):
    stage = cluster.stages[index]
    size = stage["batch_size"] or 1
    batches = [tasks[at : at + size] for at in range(0, len(tasks), size)]
    if not batches:
        return []
    actors = _start(cluster, index, len(batches))
    outputs = [None] * len(batches)
    waiting = iter(enumerate(batches))
    running = {}

    unavailable = [0] * len(batches)

    def send(at, actor):
        generator = actor.call.options(num_returns="streaming").remote(*batches[at])
        running[generator.completed()] = (at, actor, generator)

    def give(actor):
        for at, _ in itertools.islice(waiting, 1):
            send(at, actor)

    # One batch more than it works on, so that an actor never waits for the next one.
    for actor in actors + actors:
        give(actor)
    while running:
        done, _ = ray.wait(list(running), num_returns=1)
        at, actor, generator = running.pop(done[0])
        try:
            ray.get(done[0])  # Raises what the stage failed with.
        except ray.exceptions.ActorUnavailableError:
            # Its node may be gone, which Ray notices before it starts the actor elsewhere; until
            # then, Ray does not repeat a call by itself.
            unavailable[at] += 1
            if unavailable[at] * _LOOK > _UNAVAILABLE_LIMIT:
                raise
            time.sleep(_LOOK)
            send(at, actor)
            continue
        outputs[at] = list(generator)
        batches[at] = None
        give(actor)
    ray.get([actor.close.remote() for actor in actors])
    for actor in actors:
        ray.kill(actor)
    return list(itertools.chain.from_iterable(outputs))


def _start(cluster, index, most):
    """Returns as many actors as the stage wants and the cluster has room for."""
    stage = cluster.stages[index]
    spec = stage["ray_stage_spec"]
    cpus = stage["cpus"] if spec.get("ray_num_cpus") is None else spec["ray_num_cpus"]
    wanted = stage["num_workers"]
    options = {
        "num_cpus": cpus,
        "num_gpus": stage["gpus"],
        # Ray restarts an actor that dies, and its tasks run again.
        "max_restarts": 3,
        "max_task_retries": 3,
        **(spec.get("ray_remote_args") or {}),
    }
    if stage["num_workers_per_node"]:
        nodes = sum(node["Alive"] for node in ray.nodes())
        wanted = math.ceil(stage["num_workers_per_node"] * nodes)
        options.setdefault("scheduling_strategy", "SPREAD")
    if stage["runtime_env"]:
        options["runtime_env"] = stage["runtime_env"]
    room = _wait_for_room(cluster, stage, cpus)
    count = min(most, room, wanted or most)
    if wanted and count < min(wanted, most):
        cluster.warn(
            stage["name"], f"it asks for {wanted} workers, and the cluster has room for {count}"
        )
    actor = ray.remote(type(stage["name"], (_Stage,), {})).options(**options)
    return [actor.remote(cluster.job, index, cluster.reporter) for _ in range(count)]


def _room(option, amounts):
    """Returns the number of workers that fit now: each must fit on a single node."""
    amounts = [(kind, amount, option[reserved]) for kind, amount, reserved in amounts if amount > 0]
    if not amounts:
        # Workers without resources are as many as the cluster has cores.
        return max(1, int(ray.cluster_resources().get("CPU", 1)))
    nodes = available_resources_per_node().values()
    by_node = sum(
        max(0, min(math.floor(free.get(kind, 0) / amount + 1e-6) for kind, amount, _ in amounts))
        for free in nodes
    )
    in_all = min(
        math.floor((sum(free.get(kind, 0) for free in nodes) - reserved) / amount + 1e-6)
        for kind, amount, reserved in amounts
    )
    return min(by_node, in_all)


def _wait_for_room(cluster, stage, cpus):
    """Returns the number of workers that fit; the previous stage may still be leaving."""
    option = {**_OPTIONS, **cluster.options}
    deadline = time.monotonic() + option["resource_wait_timeout_s"]
    amounts = [("CPU", cpus, "reserved_cpus"), ("GPU", stage["gpus"], "reserved_gpus")]
    while True:
        room = _room(option, amounts)
        if room >= 1:
            return room
        check_resources(stage["name"], cpus, stage["gpus"])
        if time.monotonic() > deadline:
            raise setting(
                f"resources of stage `{stage['name']}`",
                f"were not free within {option['resource_wait_timeout_s']:g} s: something else "
                "occupies the cluster",
            )
        time.sleep(_LOOK)
