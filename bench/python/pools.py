"""The same by Python's own pools: `pools.py WAY WORK KIND:SIZE TASKS STAGES` prints seconds a task.

Every pool has one worker, and gets one task at a time. Its start does not count.
"""

import concurrent.futures
import multiprocessing
import sys
import time

PAYLOADS = {"bytes": lambda size: b"x" * size, "json": lambda size: {"text": "x" * size}}


def same(data):
    return data


def copied(data):
    return bytes(bytearray(data))


WORKS = {"same": same, "copied": copied}


def imap(work, payload, tasks, stages):
    pools = [multiprocessing.Pool(1) for _ in range(stages)]
    for pool in pools:
        pool.apply(same, (b"",))
    begun = time.perf_counter()
    flow = (payload for _ in range(tasks))
    for pool in pools:
        flow = pool.imap(work, flow, chunksize=1)
    found = sum(1 for result in flow if len(result) == len(payload))
    seconds = time.perf_counter() - begun
    for pool in pools:
        pool.terminate()
    return found, seconds


def apply(work, payload, tasks, _stages):
    with multiprocessing.Pool(1) as pool:
        pool.apply(same, (b"",))
        begun = time.perf_counter()
        found = sum(1 for _ in range(tasks) if len(pool.apply(work, (payload,))) == len(payload))
        return found, time.perf_counter() - begun


def futures(work, payload, tasks, _stages):
    with concurrent.futures.ProcessPoolExecutor(1) as pool:
        pool.submit(same, b"").result()
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
