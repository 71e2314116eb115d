"""Runs the cases of the microbenchmark with Ray, one round at a time, as the benchmark asks for them.

Reads one JSON command per line on standard input and writes one JSON answer per line on standard output:

    {"op": "open", "case": NAME}      prepares a case
    {"op": "warm", "seconds": 1}      runs it unmeasured
    {"op": "round", "seconds": 2}     -> {"value": operations per second}
    {"op": "close"}                   undoes the preparation
    {"op": "quit"}                    ends Ray; so does the end of the input

An answer is {"ok": true, ...} or {"ok": false, "error": TEXT}. The first line written is the answer to starting Ray:
{"ok": true, "version": ..., "python": ...}. The scale (CPUs, actors, calls per client, bytes) comes as JSON in argv[1],
the same that the other side runs at; argv[2] is the directory for Ray's own files.
"""

import gc
import json
import os
import sys
import time

# Ray and the processes it starts may print; the protocol keeps the real standard output to itself.
ANSWERS = os.fdopen(os.dup(1), "w", buffering=1)
os.dup2(2, 1)

os.environ.setdefault("RAY_DEDUP_LOGS", "0")
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")

import numpy as np  # noqa: E402
import ray  # noqa: E402

SCALE = json.loads(sys.argv[1])
CLIENTS = SCALE["clients"]
ACTORS = SCALE["actors"]
TASKS_PER_CLIENT = SCALE["tasksPerClient"]
CALLS_PER_CLIENT = SCALE["callsPerClient"]


@ray.remote
def small_value():
    return b"ok"


@ray.remote
def list_of_refs(n):
    return [ray.put(1) for _ in range(n)]


@ray.remote
def put_many(n):
    for _ in range(n):
        ray.put(0)


@ray.remote(num_cpus=0)
class Actor:
    def small_value(self):
        return b"ok"

    def small_value_arg(self, x):
        return b"ok"

    def small_value_batch(self, n):
        ray.get([small_value.remote() for _ in range(n)])


@ray.remote(num_cpus=0)
class AsyncActor:
    async def small_value(self):
        return b"ok"

    async def small_value_with_arg(self, x):
        return b"ok"


@ray.remote(num_cpus=0)
class Client:
    def __init__(self, servers):
        self.servers = servers

    def small_value_batch(self, n):
        results = []
        for server in self.servers:
            results.extend([server.small_value.remote() for _ in range(n)])
        ray.get(results)


@ray.remote
def call_in_turn(actors, n):
    ray.get([actors[i % len(actors)].small_value.remote() for i in range(n)])


class Case:
    """One prepared case: what to repeat, how many operations that is, and what to keep alive meanwhile."""

    def __init__(self, run, operations=1, actors=()):
        self.run = run
        self.operations = operations
        self.actors = list(actors)
        self.step = 1

    def warm(self, seconds):
        start = time.perf_counter()
        count = 0
        while time.perf_counter() - start < seconds:
            self.run()
            count += 1
        self.step = count // 10 + 1

    def round(self, seconds):
        start = time.perf_counter()
        count = 0
        while time.perf_counter() - start < seconds:
            for _ in range(self.step):
                self.run()
            count += self.step
        return self.operations * count / (time.perf_counter() - start)

    def close(self):
        for actor in self.actors:
            ray.kill(actor)
        self.actors = []
        self.run = None
        gc.collect()


def get_calls():
    ref = ray.put(0)
    return Case(lambda: ray.get(ref))


def put_calls():
    return Case(lambda: ray.put(0))


def multi_client_put_calls():
    return Case(lambda: ray.get([put_many.remote(100) for _ in range(10)]), 1000)


def put_gigabytes():
    # Random data that was touched: pages of zeros would be copied from the one zero page of the system.
    data = np.random.randint(0, 2**63 - 1, SCALE["putBytes"] // 8, dtype=np.int64)
    return Case(lambda: ray.put(data), SCALE["putBytes"] / 2**20 / 1000)


def tasks_and_get_batch(operations):
    return Case(lambda: ray.get([small_value.remote() for _ in range(1000)]), operations)


def wait_1k():
    def run():
        pending = [small_value.remote() for _ in range(1000)]
        fetch = True
        for _ in range(1000):
            _ready, pending = ray.wait(pending, fetch_local=fetch)
            fetch = False

    return Case(run)


def get_10k_refs():
    ref = list_of_refs.remote(10000)
    return Case(lambda: ray.get(ref))


def multi_client_tasks():
    actors = [Actor.remote() for _ in range(CLIENTS)]
    return Case(
        lambda: ray.get([a.small_value_batch.remote(TASKS_PER_CLIENT) for a in actors]),
        CLIENTS * TASKS_PER_CLIENT,
        actors,
    )


def actor_sync(cls, **options):
    a = cls.options(**options).remote()
    return Case(lambda: ray.get(a.small_value.remote()), 1, [a])


def actor_async(cls, **options):
    a = cls.options(**options).remote()
    return Case(lambda: ray.get([a.small_value.remote() for _ in range(1000)]), 1000, [a])


def async_actor_with_args():
    a = AsyncActor.remote()
    return Case(lambda: ray.get([a.small_value_with_arg.remote(i) for i in range(1000)]), 1000, [a])


def one_to_n():
    actors = [Actor.remote() for _ in range(ACTORS)]
    client = Client.remote(actors)
    return Case(
        lambda: ray.get(client.small_value_batch.remote(CALLS_PER_CLIENT)),
        CALLS_PER_CLIENT * ACTORS,
        [*actors, client],
    )


def n_to_n():
    actors = [Actor.remote() for _ in range(ACTORS)]
    return Case(
        lambda: ray.get([call_in_turn.remote(actors, CALLS_PER_CLIENT) for _ in range(CLIENTS)]),
        CLIENTS * CALLS_PER_CLIENT,
        actors,
    )


CASES = {
    "single client get calls (Plasma Store)": get_calls,
    "single client put calls (Plasma Store)": put_calls,
    "multi client put calls (Plasma Store)": multi_client_put_calls,
    "single client put gigabytes": put_gigabytes,
    "single client tasks and get batch": lambda: tasks_and_get_batch(1),
    "single client get object containing 10k refs": get_10k_refs,
    "single client wait 1k refs": wait_1k,
    "single client tasks sync": lambda: Case(lambda: ray.get(small_value.remote())),
    "single client tasks async": lambda: tasks_and_get_batch(1000),
    "multi client tasks async": multi_client_tasks,
    "1:1 actor calls sync": lambda: actor_sync(Actor),
    "1:1 actor calls async": lambda: actor_async(Actor),
    "1:1 actor calls concurrent": lambda: actor_async(Actor, max_concurrency=16),
    "1:n actor calls async": one_to_n,
    "n:n actor calls async": n_to_n,
    "1:1 async-actor calls sync": lambda: actor_sync(AsyncActor),
    "1:1 async-actor calls async": lambda: actor_async(AsyncActor),
    "1:1 async-actor calls with args async": async_actor_with_args,
}


def answer(**fields):
    ANSWERS.write(json.dumps(fields) + "\n")


def serve():
    case = None
    for line in sys.stdin:
        command = json.loads(line)
        op = command["op"]
        try:
            if op == "open":
                case = CASES[command["case"]]()
                answer(ok=True)
            elif op == "warm":
                case.warm(command["seconds"])
                answer(ok=True)
            elif op == "round":
                answer(ok=True, value=case.round(command["seconds"]))
            elif op == "close":
                if case is not None:
                    case.close()
                case = None
                answer(ok=True)
            elif op == "quit":
                return
            else:
                answer(ok=False, error=f"unknown command {op}")
        except Exception as error:  # the other side decides what a failed case means
            answer(ok=False, error=f"{type(error).__name__}: {error}".splitlines()[0][:300])


def main():
    try:
        ray.init(
            address="local",
            num_cpus=SCALE["cpus"],
            include_dashboard=False,
            object_store_memory=SCALE["storeBytes"],
            log_to_driver=False,
            _temp_dir=sys.argv[2],
            logging_level="error",
        )
    except Exception as error:
        answer(ok=False, error=f"{type(error).__name__}: {error}".splitlines()[0][:300])
        return
    answer(ok=True, version=ray.__version__, python=sys.version.split()[0])
    try:
        serve()
    finally:
        ray.shutdown()


main()
