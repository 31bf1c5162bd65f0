"""Sweeps folders of old and of new runs, one of them in use; prints those that stay."""

import fcntl
import os
import sys
import tempfile

tempfile.tempdir = os.environ["RAY_TMPDIR"]
sys.path.append(sys.argv[1])

import curator_ray_node as node  # noqa: E402

parent = node.parent_dir()
for name in ("program-old", "program-new", "old-node", "new-node", "used-node"):
    os.makedirs(os.path.join(parent, name, "hosts"))
host = open(os.path.join(parent, "used-node", "hosts", "1"), "w")  # noqa: SIM115
fcntl.flock(host, fcntl.LOCK_EX)
for name in ("program-old", "old-node", "used-node"):
    os.utime(os.path.join(parent, name), (0, 0))
node.sweep()
print(*sorted(os.listdir(parent)))
