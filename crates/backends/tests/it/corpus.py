"""Writes lines of JSON, as Python's `json` does: doubles, integers and whole documents."""

import json
import random
import struct
import sys

doubles, integers, documents = map(int, sys.argv[1:])
if hasattr(sys, "set_int_max_str_digits"):
    sys.set_int_max_str_digits(0)
rng = random.Random(7)


def double():
    kind = rng.randrange(4)
    if kind == 0:
        return rng.random()
    if kind == 1:
        return rng.gauss(0, 1e3)
    if kind == 2:
        return rng.choice([0.0, -0.0, 5e-324, 1e-5, 1e16, 1e22, 2.0**1023, -1.5, 1e-310])
    while True:  # Every exponent, and subnormals.
        number = struct.unpack("d", rng.getrandbits(64).to_bytes(8, "little"))[0]
        if number == number and abs(number) != float("inf"):
            return number


def integer():
    return rng.choice([-1, 1]) * rng.randrange(10 ** rng.randrange(1, 401))


def text(halves):
    ranges = [(0, 0x80), (0x20, 0x7F), (0xA0, 0x800), (0x3000, 0xD7FF), (0x1F300, 0x1F700)]
    if halves:
        ranges.append((0xD800, 0xDFFF))
    return "".join(chr(rng.randint(*rng.choice(ranges))) for _ in range(rng.randrange(12)))


def value(depth, halves):
    kind = rng.randrange(8 if depth else 6)
    if kind < 2:
        return rng.choice([None, True, False, 0, -7, 2**53 + 1, 2**63, 2**64, -(2**63) - 1])
    if kind == 2:
        return double()
    if kind == 3:
        return integer()
    if kind < 6:
        return text(halves)
    if kind == 6:
        return [value(depth - 1, halves) for _ in range(rng.randrange(5))]
    return {text(halves): value(depth - 1, halves) for _ in range(rng.randrange(6))}


def write(value, is_ascii):
    line = json.dumps(value, ensure_ascii=is_ascii) + "\n"
    sys.stdout.buffer.write(line.encode())


for at in range(0, doubles, 500):
    write([double() for _ in range(min(500, doubles - at))], True)
for at in range(0, integers, 50):
    write({"n": [integer() for _ in range(min(50, integers - at))]}, False)
for at in range(documents):
    is_ascii = at % 2 == 0
    write({"z": value(4, is_ascii), "a": value(4, is_ascii), text(False): at}, is_ascii)
