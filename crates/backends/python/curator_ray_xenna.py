"""Xenna: streaming, workers added where the pipeline is slow; its actors are killed, not ended."""

import threading

import attrs
import ray.runtime_env
from cosmos_xenna.pipelines import v1 as xenna
from cosmos_xenna.pipelines.private import monitoring
from cosmos_xenna.pipelines.private.specs import ServingQueues
from cosmos_xenna.ray_utils import resource_monitor
from curator_ray import setting
from curator_ray_actor import Host


@attrs.define
class _RuntimeEnv(xenna.RuntimeEnv):
    """Returns a `runtime_env` of Ray with the variables that Xenna sets for devices."""

    fields: dict = attrs.field(factory=dict)

    def to_ray_runtime_env(self):
        fields = {**self.fields, "env_vars": dict(self.extra_env_vars)}
        return ray.runtime_env.RuntimeEnv(**fields)


class _Stage(xenna.Stage):
    def __init__(self, cluster, index):
        self._stage = cluster.stages[index]
        self._job = cluster.job
        self._reporter = cluster.reporter
        self._index = index
        self._host = None

    @property
    def stage_batch_size(self):
        return self._stage["batch_size"] or 1

    @property
    def required_resources(self):
        return xenna.Resources(cpus=self._stage["cpus"], gpus=self._stage["gpus"])

    @property
    def env_info(self):
        fields = self._stage["runtime_env"]
        if not fields:
            return None
        return _RuntimeEnv(extra_env_vars=dict(fields.get("env_vars") or {}), fields=fields)

    def setup(self, worker_metadata):
        self._host = Host(self._job, self._index, self._reporter)
        # Xenna's threads would keep the process of an actor alive after it was told to end.
        threading.Thread(target=self._host.leave_with_run, daemon=True).start()

    def process_data(self, in_data):
        return self._host.call(in_data)


class _NodeMonitor:
    """The state of a node, for the lines that Xenna logs.

    Xenna's own actor has a thread for it, which keeps the actor's process alive forever after its
    job, and it occupies a core.
    """

    def __init__(self):
        self._monitor = resource_monitor.ResourceMonitor()

    def get_latest_metrics(self):
        return monitoring.SystemDataAndProcessTree(
            self._monitor.update(), resource_monitor.ProcessTree.make()
        )


class _Inputs(list):
    """The input tasks, released as they are read: a finished task is kept nowhere."""

    def __deepcopy__(self, _memo):
        return self

    def __iter__(self):
        self.reverse()
        while self:
            yield self.pop()


class _Outputs:
    """Takes the outputs of the last stage as they come; Xenna uses it like a queue."""

    def __init__(self, emit):
        self._emit = emit

    def put(self, task, block=True, timeout=None):
        self._emit([task])


# What decides about failures here, beside Xenna's own options.
_WITHOUT_EFFECT = {
    "ignore_failures": "the failure policy of the run decides",
    "num_setup_attempts_python": "a set-up that fails ends the run",
    "max_setup_failure_percentage": "a set-up that fails ends the run",
    "reset_workers_on_failure": "a worker that dies is replaced, and one whose task fails is not",
}


def run(cluster):
    if not cluster.tasks:
        return
    monitoring.NodeResourceMonitor = ray.remote(num_cpus=0)(_NodeMonitor)
    names = _Names()
    for stage in cluster.stages:
        cluster.warn_without_effect(stage, "xenna_stage_spec", _WITHOUT_EFFECT)
    stages = [
        xenna.StageSpec(
            stage=names.type_of(stage["name"])(cluster, index),
            num_workers=stage["num_workers"],
            num_workers_per_node=stage["num_workers_per_node"]
            or stage["xenna_stage_spec"].get("num_workers_per_node"),
            **{
                name: value
                for name, value in stage["xenna_stage_spec"].items()
                if name != "num_workers_per_node" and value is not None
            },
        )
        for index, stage in enumerate(cluster.stages)
    ]
    tasks, cluster.tasks = _Inputs(cluster.tasks), []
    config = _config(cluster.options)
    is_streaming = config.execution_mode is xenna.ExecutionMode.STREAMING
    config.return_last_stage_outputs = not is_streaming
    spec = xenna.PipelineSpec(
        input_data=tasks,
        stages=stages,
        config=config,
        serving_queues=ServingQueues(None, _Outputs(cluster.emit)) if is_streaming else None,
    )
    for task in xenna.run_pipeline(spec) or []:
        cluster.emit([task])


class _Names:
    """Returns classes under the stages' names, which Xenna shows."""

    def type_of(self, name):
        return type(name, (_Stage,), {"__module__": _Stage.__module__})


def _config(options):
    """Returns Xenna's settings; those of streaming stand beside the others."""
    options = dict(options)
    mode = str(options.pop("execution_mode", "streaming")).upper()
    if mode not in ("STREAMING", "BATCH"):
        raise setting("execution_mode", "is neither `streaming` nor `batch`")
    config = {"execution_mode": xenna.ExecutionMode[mode]}
    known = {field.name for field in attrs.fields(xenna.PipelineConfig)} - {"mode_specific"}
    streaming = {field.name for field in attrs.fields(xenna.StreamingSpecificSpec)}
    specific = {}
    for name, value in options.items():
        if name in streaming:
            specific[name] = value
        elif name in known and name != "return_last_stage_outputs":
            config[name] = value
        else:
            raise setting(name, "is no setting of Xenna's `PipelineConfig`")
    if mode == "STREAMING":
        config["mode_specific"] = xenna.StreamingSpecificSpec(**specific)
    return xenna.PipelineConfig(**config)
