"""Xenna: streaming, workers added where the pipeline is slow; its actors are killed, not ended."""

import threading

import attrs
import ray.runtime_env
from cosmos_xenna.pipelines import v1 as xenna
from curator_ray import setting
from curator_ray_actor import Host


@attrs.define
class _RuntimeEnv(xenna.RuntimeEnv):
    """A `runtime_env` of Ray with the variables that Xenna sets for devices."""

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
        # The threads of Xenna would keep the process of an actor that was told to end.
        threading.Thread(target=self._host.leave_with_run, daemon=True).start()

    def process_data(self, in_data):
        return self._host.call(in_data)


def run(cluster):
    if not cluster.tasks:
        return
    names = _Names()
    for stage in cluster.stages:
        if stage["xenna_stage_spec"].get("ignore_failures"):
            cluster.warn(
                stage["name"],
                "`ignore_failures` is without effect: the failure policy of the run decides",
            )
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
    tasks, cluster.tasks = cluster.tasks, []
    spec = xenna.PipelineSpec(input_data=tasks, stages=stages, config=_config(cluster.options))
    for task in xenna.run_pipeline(spec) or []:
        cluster.emit([task])


class _Names:
    """Classes under the stages' names, which is what Xenna shows."""

    def type_of(self, name):
        return type(name, (_Stage,), {"__module__": _Stage.__module__})


def _config(options):
    """Xenna's settings; those of streaming stand beside the others."""
    options = dict(options)
    mode = str(options.pop("execution_mode", "streaming")).upper()
    if mode not in ("STREAMING", "BATCH"):
        raise setting("execution_mode", "is neither `streaming` nor `batch`")
    config = {
        "execution_mode": xenna.ExecutionMode[mode],
        "return_last_stage_outputs": True,
    }
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
