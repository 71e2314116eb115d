"""The smallest Ray program: starts a cluster, runs one task and prints its result."""

import json
import os
import sys

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")

import ray  # noqa: E402

SCALE = json.loads(sys.argv[1])


@ray.remote
def answer():
    return 42


ray.init(
    address="local",
    num_cpus=SCALE["cpus"],
    include_dashboard=False,
    object_store_memory=SCALE["storeBytes"],
    log_to_driver=False,
    logging_level="error",
)
print("result", ray.get(answer.remote()), flush=True)
ray.shutdown()
