"""Ray Data: one data set of tasks as bytes, each stage a `map_batches` over a pool of actors."""

import math

import pyarrow as pa
import ray
from curator_ray import NEMO_CURATOR_ONLY, check_resources
from curator_ray_actor import Host
from ray.data import ActorPoolStrategy, DataContext

_COLUMN = "task"
# Blocks of the input for each core: enough for all workers.
_BLOCKS_PER_CPU = 4


class _Stage:
    def __init__(self, job, index, reporter):
        self._host = Host(job, index, reporter)

    def __call__(self, table):
        return _table(self._host.call(table.column(_COLUMN).to_pylist()))


def run(cluster):
    context = DataContext.get_current()
    context.enable_progress_bars = False
    total = ray.cluster_resources().get("CPU", 1)
    batch = cluster.stages[0]["batch_size"] or 1
    blocks = max(1, min(math.ceil(len(cluster.tasks) / batch), int(total) * _BLOCKS_PER_CPU))
    rows = max(1, math.ceil(len(cluster.tasks) / blocks))
    tables = [_table(cluster.tasks[at : at + rows]) for at in range(0, len(cluster.tasks), rows)]
    if not tables:
        return
    cluster.tasks = []
    data = ray.data.from_arrow(tables)
    share = _share(cluster, total)
    # A larger amount than that of any node fits nowhere, and Ray Data would wait for it.
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    largest = max((node.get("CPU", 0) for node in nodes), default=0) or total
    for index, stage in enumerate(cluster.stages):
        cluster.warn_without_effect(stage, "ray_stage_spec", NEMO_CURATOR_ONLY)
        spec = stage["ray_stage_spec"]
        remote = dict(spec.get("ray_remote_args") or {})
        if stage["runtime_env"]:
            remote["runtime_env"] = stage["runtime_env"]
        if stage["num_workers_per_node"] is not None:
            remote.setdefault("scheduling_strategy", "SPREAD")
        if stage["gpus"] > 0:
            if cluster.is_own:
                check_resources(stage["name"], 0, stage["gpus"])
            remote["num_gpus"] = stage["gpus"]
        data = data.map_batches(
            _named(stage["name"]),
            fn_constructor_args=(cluster.job, index, cluster.reporter),
            compute=_pool(stage),
            # None is a whole block.
            batch_size=stage["batch_size"] or (1 if stage["gpus"] > 0 else None),
            batch_format="pyarrow",
            num_cpus=min(_cpus(stage) * share, largest),
            **remote,
        )
        if spec.get("is_fanout_stage"):
            data = data.repartition(target_num_rows_per_block=1)
    for table in data.iter_batches(batch_size=None, batch_format="pyarrow"):
        if table.num_rows:
            cluster.emit(table.column(_COLUMN).to_pylist())


def _table(tasks):
    # Offsets of 64 bits: a block may hold more than 2 GiB.
    return pa.table({_COLUMN: pa.array(tasks, type=pa.large_binary())})


def _named(name):
    """Returns the stage's class under the stage's name, which Ray shows."""
    return type(name, (_Stage,), {"__module__": _Stage.__module__})


def _cpus(stage):
    own = stage["ray_stage_spec"].get("ray_num_cpus")
    return stage["cpus"] if own is None else own


def _pool(stage):
    spec = stage["ray_stage_spec"]
    if stage["num_workers"]:
        return ActorPoolStrategy(size=stage["num_workers"])
    if stage["num_workers_per_node"]:
        nodes = sum(node["Alive"] for node in ray.nodes())
        return ActorPoolStrategy(size=math.ceil(stage["num_workers_per_node"] * nodes))
    return ActorPoolStrategy(
        min_size=spec.get("min_workers") or 1,
        max_size=spec.get("max_workers"),
        initial_size=spec.get("initial_workers"),
    )


def _share(cluster, total):
    """Returns the stages' share of their cores that gives each its first workers at once."""
    wanted = 0
    for stage in cluster.stages:
        pool = _pool(stage)
        wanted += pool.min_size * _cpus(stage)
    if wanted <= total or wanted == 0:
        return 1
    cluster.warn(
        None,
        f"the stages ask for {wanted:g} cores at once, and the cluster has {total:g}: each worker "
        "counts as less",
    )
    return total / wanted
