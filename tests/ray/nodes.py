"""Keeps a cluster of several nodes up, and adds and kills nodes as it is told.

It prints the cluster's address; then each line of the standard input is `add NAME CORES` or
`kill NAME`, and is answered with the node's id.
"""

import os
import signal
import sys

os.environ["RAY_EXPERIMENTAL_NOSET_CUDA_VISIBLE_DEVICES"] = "1"
os.environ["RAY_MAX_LIMIT_FROM_API_SERVER"] = "40000"
os.environ["RAY_MAX_LIMIT_FROM_DATA_SOURCE"] = "40000"
# A Ray that starts by itself lets in its own processes only.
os.environ["RAY_AUTH_MODE"] = "disabled"

from ray.cluster_utils import Cluster

FOLDER = os.environ["RAY_TMPDIR"]
# A node that is gone is known to be gone within seconds; one that is slow has as long as always.
HEALTH = {"health_check_period_ms": 1000, "health_check_failure_threshold": 3}
cluster = Cluster()
nodes = {}


def add(name, cores):
    # All nodes are on this machine: each has an environment cache and temporary files of its own,
    # as the variables say that its workers inherit.
    os.environ["CURATOR_CACHE_DIR"] = os.path.join(FOLDER, f"cache-{name}")
    os.environ["TMPDIR"] = os.path.join(FOLDER, f"tmp-{name}")
    for variable in ("CURATOR_CACHE_DIR", "TMPDIR"):
        os.makedirs(os.environ[variable], exist_ok=True)
    own = {"include_dashboard": True, "dashboard_port": 0, "_system_config": HEALTH}
    if nodes:
        own = {}
    nodes[name] = cluster.add_node(num_cpus=int(cores), **own)
    return nodes[name].node_id


def kill(name):
    """What a machine does that loses its power: all that ran on it is gone at once."""
    node = nodes.pop(name)
    mark = f"CURATOR_CACHE_DIR={os.path.join(FOLDER, f'cache-{name}')}\0".encode()
    for process in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{process}/environ", "rb") as file:
                if mark in file.read():
                    os.kill(int(process), signal.SIGKILL)
        except OSError:
            pass  # It is gone, or belongs to another user.
    cluster.remove_node(node, allow_graceful=False)
    return node.node_id


add("first", sys.argv[1] if len(sys.argv) > 1 else 2)
print(cluster.address, flush=True)
for line in sys.stdin:
    command, *arguments = line.split()
    print({"add": add, "kill": kill}[command](*arguments), flush=True)
