"""The documented example by the real NeMo Curator, its environments made by Ray.

`nemo.py ENGINE TASKS` starts a Ray and runs the example as a process of its own: with one task,
with one task again, and with all. Each time it prints a line of JSON with the seconds that it took.
"""

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass

from nemo_curator.backends.ray_actor_pool import RayActorPoolExecutor
from nemo_curator.backends.ray_data import RayDataExecutor
from nemo_curator.backends.xenna import XennaExecutor
from nemo_curator.pipeline import Pipeline
from nemo_curator.stages.base import ProcessingStage
from nemo_curator.stages.resources import Resources
from nemo_curator.tasks import Task

EXECUTORS = {
    "ray-data": RayDataExecutor,
    "ray-actor-pool": RayActorPoolExecutor,
    "xenna": XennaExecutor,
}
EXPECTED = {"base_env": "26.0", "pinned_v232": "23.2", "pinned_v240": "24.0"}


@dataclass
class Versions(Task[dict]):
    @property
    def num_items(self):
        return 1

    def validate(self):
        return True


class RecordPackagingVersionStage(ProcessingStage[Versions, Versions]):
    resources = Resources(cpus=0.5)
    batch_size = 1

    def __init__(self, name):
        self.name = name

    def inputs(self):
        return [], []

    def outputs(self):
        return [], []

    def process(self, task):
        import packaging

        task.data[self.name] = packaging.__version__
        return task


def run(engine, tasks):
    stages = [
        RecordPackagingVersionStage("base_env"),
        RecordPackagingVersionStage("pinned_v232").with_(runtime_env={"pip": ["packaging==23.2"]}),
        RecordPackagingVersionStage("pinned_v240").with_(runtime_env={"uv": ["packaging==24.0"]}),
    ]
    pipeline = Pipeline(name="multi_version_demo", stages=stages)
    initial = [Versions(dataset_name="demo", data={}) for _ in range(tasks)]
    done = pipeline.run(EXECUTORS[engine](), initial_tasks=initial)
    seen = [task.data for task in done]
    if seen != [EXPECTED] * tasks:
        raise SystemExit(f"{len(seen)} of {tasks} tasks came out; the first one saw {seen[:1]}")


def measure(engine, tasks):
    import ray

    begun = time.perf_counter()
    address = ray.init(num_cpus=8, log_to_driver=False).address_info["gcs_address"]
    start = time.perf_counter() - begun
    environ = os.environ | {"RAY_ADDRESS": address}
    rounds = [("cold", 1), ("warm", 1)] + ([("many", tasks)] if tasks else [])
    for name, count in rounds:
        begun = time.perf_counter()
        arguments = [sys.executable, __file__, engine, str(count), "run"]
        subprocess.run(arguments, env=environ, check=True, stdout=sys.stderr)
        seconds = time.perf_counter() - begun
        # The first run in a session pays for its start.
        seconds += start if name == "cold" else 0.0
        print(json.dumps({"name": name, "seconds": seconds}), flush=True)


if __name__ == "__main__":
    (run if sys.argv[3:] else measure)(sys.argv[1], int(sys.argv[2]))
