"""Starts a cluster that stays when this ends, and prints its address."""

import os

# Xenna wants these in the processes of the cluster.
os.environ["RAY_EXPERIMENTAL_NOSET_CUDA_VISIBLE_DEVICES"] = "1"
os.environ["RAY_MAX_LIMIT_FROM_API_SERVER"] = "40000"
os.environ["RAY_MAX_LIMIT_FROM_DATA_SOURCE"] = "40000"
# Ray itself tries an environment that cannot be had three times.
os.environ["RUNTIME_ENV_RETRY_TIMES"] = "1"

import ray

context = ray.init(num_cpus=8, include_dashboard=True, log_to_driver=False)
print(context.address_info["gcs_address"], flush=True)
os._exit(0)
