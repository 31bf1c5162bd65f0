"""Starts a Ray and ends it in order: what is left of it is what any Ray leaves."""

import ray

ray.init(num_cpus=2, include_dashboard=True)
ray.get(ray.remote(lambda: None).remote())
ray.shutdown()
