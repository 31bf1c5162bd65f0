"""Ends runs while processes that were started for them come late; prints what is left."""

import contextlib
import fcntl
import os
import random
import sys
import tempfile
import time

tempfile.tempdir = os.environ["RAY_TMPDIR"]
sys.path.append(sys.argv[1])

import curator_ray_node as node  # noqa: E402

RUNS = 40
LATE = 6


def come_late(run):
    """Does what actors do at any time: makes the folder, and starts a host that announces
    itself."""
    time.sleep(random.random() * 0.05)
    with contextlib.suppress(node.RunOverError):
        folder = node.make_run_dir(run, "node")
        time.sleep(random.random() * 0.01)
        # The folder may have gone since.
        with contextlib.suppress(FileNotFoundError):
            path = os.path.join(folder, "hosts", str(os.getpid()))
            with open(path, "w") as host:
                fcntl.flock(host, fcntl.LOCK_EX)
                while os.path.exists(path) and not os.path.exists(os.path.join(folder, "over")):
                    time.sleep(0.001)


def child(work, *arguments):
    process = os.fork()
    if process == 0:
        work(*arguments)
        os._exit(0)
    return process


for at in range(RUNS):
    run = f"run{at}"
    node.make_run_dir(run, "node")
    late = [child(come_late, run) for _ in range(LATE)]
    # The driver may end the run beside a node's own task.
    ends = [child(node.end_run, run, 5) for _ in range(1 + at % 2)]
    for process in late + ends:
        assert os.waitpid(process, 0)[1] == 0
    with contextlib.suppress(node.RunOverError):
        print("made again:", node.make_run_dir(run, "node"))

parent = node.parent_dir()
print(*sorted(os.listdir(parent)))

# A run is kept in the list once, and not forever.
node.end_run("run0", 1)
with open(os.path.join(parent, "ended"), "a") as file:
    file.write("1 long-ago\nnonsense\n")
node.end_run("last", 1)
with open(os.path.join(parent, "ended")) as file:
    ended = [line.split()[1] for line in file]
print(len(ended), ended[-2:])
