"""A program whose tasks go through `Pipeline.stream`: `client.py tasks COUNT`, `client.py tables
COUNT BYTES`.

It prints the memory that it and the program `curator` took at the most, as JSON.
"""

import json
import sys

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


def main(kind, count, *sizes):
    count = int(count)
    items, part, expected = {"tasks": tasks, "tables": tables}[kind](count, *map(int, sizes))
    # As many looks as a run of tables has, at the most.
    every = max(1, count // 100)
    found = seen = held = 0
    with Pipeline([stage(num_workers=1)(Same)]).stream(items) as stream:
        program = stream._session._process.pid
        for task in stream:
            found += part(task.data)
            seen += 1
            if seen % every == 0:
                held = max(held, most(program))
    if (seen, found) != (count, expected):
        raise SystemExit(f"{seen} of {count} tasks came out, with {found} instead of {expected}")
    print(json.dumps({"client": most("self"), "program": held}))


if __name__ == "__main__":
    main(*sys.argv[1:])
