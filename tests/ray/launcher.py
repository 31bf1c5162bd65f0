"""What Ray's workers see: `launcher.py MODULES LAUNCHERS REFUSED PACKAGE`, the second and third in
JSON, by name; PACKAGE is where `curator` can be imported from.

The last line printed is what tasks, actors and data sets gave in each environment, and how they
failed where a launcher has no environment to start in.
"""

import json
import os
import subprocess
import sys

import ray

LOOK = """
import importlib.metadata, sys, packaging, ray, beside
names = [it.version for it in importlib.metadata.distributions() if it.name == "packaging"]
seen = {
    "packaging": packaging.__version__,
    "visible": names,
    "prefix": sys.prefix,
    "ray": ray.__version__,
    "beside": beside.NAME,
}
"""


def look():
    namespace = {}
    exec(LOOK, namespace)
    seen = namespace["seen"]
    code = LOOK + "print(__import__('json').dumps(seen))"
    child = subprocess.run(["python", "-c", code], capture_output=True, check=True, text=True)
    return seen | {"child": json.loads(child.stdout)}


@ray.remote
def task():
    return look()


@ray.remote
class Actor:
    def look(self):
        return look()


class Mapper:
    def __init__(self, name):
        self.name = name

    def __call__(self, batch):
        batch[self.name] = [json.dumps(look())] * len(batch["id"])
        return batch


def by_tasks(envs):
    waiting = {name: task.options(runtime_env=env).remote() for name, env in envs.items()}
    return {name: ray.get(one) for name, one in waiting.items()}


def by_actors(envs):
    """All of them are alive at the same time."""
    actors = {name: Actor.options(runtime_env=env).remote() for name, env in envs.items()}
    return {name: ray.get(actor.look.remote()) for name, actor in actors.items()}


def by_data(envs):
    """One after the other in one data set, half of them as tasks and half as actors."""
    data = ray.data.range(2)
    for i, (name, env) in enumerate(envs.items()):
        if i % 2:
            data = data.map_batches(
                Mapper, fn_constructor_args=[name], concurrency=1, runtime_env=env
            )
        else:
            data = data.map_batches(lambda batch, name=name: Mapper(name)(batch), runtime_env=env)
    row = data.take_all()[0]
    return {name: json.loads(row[name]) for name in envs}


def failure(function, env):
    try:
        return {"error": None, "text": f"it gave {function({'only': env})}"}
    except Exception as error:
        return {"error": type(error).__name__, "text": str(error)}


def by_package(folder):
    """Workers in environments of caches that variables of this process name, and no other's."""
    import curator.ray

    seen = {}
    del os.environ["CURATOR_CACHE_DIR"]
    for variable, cache in [("XDG_CACHE_HOME", "own/curator"), ("CURATOR_CACHE_DIR", "own/cache")]:
        folders = os.path.dirname(cache) if variable.startswith("XDG") else cache
        os.environ[variable] = os.path.join(folder, folders)
        env = curator.ray.environment(uv=["packaging==24.0"])
        seen[variable] = by_tasks({"only": env})["only"] | {"cache": os.path.join(folder, cache)}
    return seen


def main(modules, launchers, refused, package):
    sys.path.insert(0, package)
    ray.init(num_cpus=8, runtime_env={"working_dir": modules})
    ways = {"task": by_tasks, "actor": by_actors, "data": by_data}

    def env(launcher):
        return {"py_executable": launcher} if launcher else {}

    envs = {name: env(launcher) for name, launcher in json.loads(launchers).items()}
    seen = {way: function(envs) for way, function in ways.items()}
    failed = {
        name: {
            way: failure(function, env(launcher))
            for way, function in ways.items()
            if way == "task" or name == "misspelt"
        }
        for name, launcher in json.loads(refused).items()
    }
    by_variables = by_package(os.getcwd())
    ray.shutdown()
    print(json.dumps({"seen": seen, "failed": failed, "by variables": by_variables}))


if __name__ == "__main__":
    main(*sys.argv[1:])
