"""Loads an engine's actor class in a process that has none of our files; says how that went."""

import subprocess
import sys

folder, engine, module = sys.argv[1:]
sys.path.append(folder)

import curator_ray  # noqa: E402
from ray import cloudpickle  # noqa: E402

curator_ray.carry(engine)
stage = __import__(module)._Stage
carried = cloudpickle.dumps(type("stage", (stage,), {"__module__": module}))
load = "import sys, ray.cloudpickle as c; print(c.loads(sys.stdin.buffer.read()).__name__)"
subprocess.run([sys.executable, "-c", load], input=carried, check=True, cwd="/")
