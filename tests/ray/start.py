"""Starts a cluster, prints its address, and keeps it until the standard input ends."""

import os
import sys

# Xenna wants these in the processes of the cluster.
os.environ["RAY_EXPERIMENTAL_NOSET_CUDA_VISIBLE_DEVICES"] = "1"
os.environ["RAY_MAX_LIMIT_FROM_API_SERVER"] = "40000"
os.environ["RAY_MAX_LIMIT_FROM_DATA_SOURCE"] = "40000"
# A Ray that starts by itself lets in its own processes only.
os.environ["RAY_AUTH_MODE"] = "disabled"
# Ray itself tries an environment that cannot be had three times.
os.environ["RUNTIME_ENV_RETRY_TIMES"] = "1"

import ray

context = ray.init(num_cpus=8, include_dashboard=True, log_to_driver=False)
print(context.address_info["gcs_address"], flush=True)
sys.stdin.read()
