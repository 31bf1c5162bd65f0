"""The documented example on the real NeMo Curator's own actor pool, with environments by Curator.

`launcher.py RUNS` starts a Ray and runs the example as processes of their own, in turns: without
environments, with those of an empty cache, and with those that are in a cache. Each time it prints
a line of JSON with the seconds of `pipeline.run`.
"""

import json
import os
import subprocess
import sys
import tempfile
import time

import nemo as example

WAYS = ("none", "cold", "cached")


def run(way):
    import curator.nemo

    envs = [{}, {"pip": ["packaging==23.2"]}, {"uv": ["packaging==24.0"]}]
    stages = [
        example.RecordPackagingVersionStage(name).with_(runtime_env={} if way == "none" else env)
        for name, env in zip(example.EXPECTED, envs)
    ]
    pipeline = example.Pipeline(name="multi_version_demo", stages=stages)
    initial = [example.Versions(dataset_name="demo", data={})]
    begun = time.perf_counter()
    with curator.nemo.environments():
        done = pipeline.run(example.EXECUTORS["ray-actor-pool"](), initial_tasks=initial)
    seconds = time.perf_counter() - begun
    expected = example.EXPECTED
    if way == "none":
        expected = dict.fromkeys(expected, expected["base_env"])
    if [task.data for task in done] != [expected]:
        raise SystemExit(f"the task saw {[task.data for task in done]}")
    print(json.dumps({"name": way, "seconds": seconds}))


def measure(runs):
    import ray

    address = ray.init(num_cpus=8, log_to_driver=False).address_info["gcs_address"]
    kept = tempfile.mkdtemp(dir=os.getcwd())

    def one(way):
        cache = tempfile.mkdtemp(dir=os.getcwd()) if way == "cold" else kept
        environ = os.environ | {"RAY_ADDRESS": address, "CURATOR_CACHE_DIR": cache}
        done = subprocess.run(
            [sys.executable, __file__, way, "run"], env=environ, stdout=subprocess.PIPE, check=True
        )
        return done.stdout.decode().splitlines()[-1]

    # The first run in a session is slower, and fills the cache.
    one("cached")
    for _ in range(runs):
        for way in WAYS:
            print(one(way), flush=True)


if __name__ == "__main__":
    run(sys.argv[1]) if sys.argv[2:] else measure(int(sys.argv[1]))
