"""A program whose tasks go through `Pipeline.stream`: `client.py tasks COUNT`, `client.py tables
COUNT BYTES`.

It prints the memory that it and the program `curator` took at the most, and the seconds from the
call to the last task, as JSON. `client.py file COUNT BYTES FILE` writes such tables to a file, and
`client.py rows FILE` prints how many rows one has.
"""

import json
import sys
import time

from curator import Pipeline, stage
from stages import Same


def most(process):
    """The resident bytes of a process at the most, or 0 if it has ended."""
    try:
        with open(f"/proc/{process}/status") as lines:
            found = [line.split()[1] for line in lines if line.startswith("VmHWM:")]
    except OSError:
        found = []
    return int(found[0]) * 1024 if found else 0


def tasks(count):
    items = ({"n": n, "text": "a small task"} for n in range(count))
    return items, lambda data: data["n"], count * (count - 1) // 2


def tables(count, size):
    from pools import table

    # It is made once: what counts is its way.
    made = table(size)
    return (made for _ in range(count)), len, count * len(made)


def write(count, size, path):
    import pyarrow
    from pools import table

    [batch] = table(size).combine_chunks().to_batches()
    with pyarrow.OSFile(path, "wb") as file, pyarrow.ipc.new_file(file, batch.schema) as writer:
        for _ in range(count):
            writer.write_batch(batch)


def rows(path):
    import pyarrow

    with pyarrow.memory_map(path) as file:
        return pyarrow.ipc.open_file(file).read_all().num_rows


def main(kind, count, *sizes):
    if kind == "rows":
        return print(rows(count))
    if kind == "file":
        return write(int(count), int(sizes[0]), sizes[1])
    count = int(count)
    items, part, expected = {"tasks": tasks, "tables": tables}[kind](count, *map(int, sizes))
    # As many looks as a run of tables has, at the most.
    every = max(1, count // 100)
    found = seen = held = 0
    begun = time.perf_counter()
    with Pipeline([stage(num_workers=1)(Same)]).stream(items) as stream:
        program = stream._session._process.pid
        for task in stream:
            found += part(task.data)
            seen += 1
            if seen % every == 0:
                held = max(held, most(program))
    seconds = time.perf_counter() - begun
    if (seen, found) != (count, expected):
        raise SystemExit(f"{seen} of {count} tasks came out, with {found} instead of {expected}")
    print(json.dumps({"client": most("self"), "program": held, "seconds": seconds}))


if __name__ == "__main__":
    main(*sys.argv[1:])
