"""The smallest Ray program: starts a cluster, runs one task and prints its result."""

import json
import os
import shutil
import sys
import tempfile

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")

import ray  # noqa: E402

SCALE = json.loads(sys.argv[1])


FILES = tempfile.mkdtemp(prefix="ray-")


@ray.remote
def answer():
    return 42


ray.init(
    address="local",
    num_cpus=SCALE["cpus"],
    include_dashboard=False,
    object_store_memory=SCALE["storeBytes"],
    log_to_driver=False,
    _temp_dir=FILES,
    logging_level="error",
)
print("result", ray.get(answer.remote()), flush=True)
ray.shutdown()
shutil.rmtree(FILES, ignore_errors=True)
