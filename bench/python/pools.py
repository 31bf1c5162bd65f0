"""The same by Python's own pools: `pools.py WAY WORK KIND:SIZE TASKS STAGES` prints seconds a task.

Every pool has one worker, and gets one task at a time. Neither its start counts nor its first task.
"""

import concurrent.futures
import multiprocessing
import sys
import time

from works import answered, copied, renewed, same


def table(size):
    # The columns are those of the other side.
    import pyarrow
    import pyarrow.compute

    rows = size // 60
    numbers = pyarrow.array(range(rows), "int64")
    columns = {f"number_{at}": pyarrow.compute.add(numbers, at) for at in range(3)}
    columns |= {f"float_{at}": columns[f"number_{at}"].cast("float64") for at in range(2)}
    columns["text"] = pyarrow.repeat("sixteen letters.", rows)
    return pyarrow.table(columns)


PAYLOADS = {
    "bytes": lambda size: b"x" * size,
    "json": lambda size: {"text": "x" * size},
    "table": table,
}
WORKS = {work.__name__: work for work in (same, copied, answered, renewed)}


def imap(work, payload, tasks, stages):
    pools = [multiprocessing.Pool(1) for _ in range(stages)]

    def send(count):
        flow = (payload for _ in range(count))
        for pool in pools:
            flow = pool.imap(work, flow, chunksize=1)
        return sum(1 for result in flow if len(result) == len(payload))

    send(1)
    begun = time.perf_counter()
    found = send(tasks)
    seconds = time.perf_counter() - begun
    for pool in pools:
        pool.terminate()
    return found, seconds


def apply(work, payload, tasks, _stages):
    with multiprocessing.Pool(1) as pool:
        pool.apply(work, (payload,))
        begun = time.perf_counter()
        found = sum(1 for _ in range(tasks) if len(pool.apply(work, (payload,))) == len(payload))
        return found, time.perf_counter() - begun


def futures(work, payload, tasks, _stages):
    with concurrent.futures.ProcessPoolExecutor(1) as pool:
        pool.submit(work, payload).result()
        begun = time.perf_counter()
        results = pool.map(work, (payload for _ in range(tasks)), chunksize=1)
        found = sum(1 for result in results if len(result) == len(payload))
        return found, time.perf_counter() - begun


WAYS = {"imap": imap, "apply": apply, "futures": futures}


def main(way, work, size, tasks, stages):
    kind, size = size.split(":")
    payload = PAYLOADS[kind](int(size))
    found, seconds = WAYS[way](WORKS[work], payload, int(tasks), int(stages))
    if found != int(tasks):
        raise SystemExit(f"{found} of {tasks} tasks came back")
    print(seconds / found)


if __name__ == "__main__":
    main(*sys.argv[1:])
