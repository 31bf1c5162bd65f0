"""Starts a cluster and runs a command beside it: `head.py COMMAND ARGUMENTS...`."""

import os
import subprocess
import sys

import nemo_curator  # noqa: F401, it sets what its executors ask of a cluster
import ray

address = ray.init(num_cpus=8, log_to_driver=False).address_info["gcs_address"]
environ = os.environ | {"RAY_ADDRESS": address}
sys.exit(subprocess.run(sys.argv[1:], env=environ, check=False).returncode)
