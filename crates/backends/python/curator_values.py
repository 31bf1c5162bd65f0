"""Python values of the columns of Arrow tables, and columns of Python values."""

import struct
from array import array
from bisect import bisect_right
from datetime import date, datetime, time, timedelta, timezone
from itertools import accumulate, chain, islice

from curator_arrow import UNITS, WAY_OUT, Chunk, Field

_DAY = 86_400_000_000

# From memory to values: a function for each kind, of a chunk and its non-null bits, which are
# None if no value is null.


def decode(chunk, live=None):
    """Returns the values of a chunk. Where `live` is false, the bytes are not read."""
    valid = live
    if chunk.nulls and chunk.field.kind != "null":
        valid = _bits(chunk.buffers[0], chunk.length)
        if live is not None:
            valid = [here and there for here, there in zip(valid, live)]
    return _DECODERS[chunk.field.kind](chunk, valid)


def _bits(view, length):
    """Returns the first bits of a view, as booleans."""
    return list(islice(chain.from_iterable(map(_BITS_OF.__getitem__, view)), length))


_BITS_OF = [tuple(bool(byte >> bit & 1) for bit in range(8)) for byte in range(256)]


def _masked(values, valid):
    if valid is None:
        return values
    return [value if is_valid else None for value, is_valid in zip(values, valid)]


def _converted(convert):
    """Returns a decoder of numbers that passes each value through a function of the parameters."""

    def decoder(chunk, valid):
        if valid is not None and not any(valid):  # Then its zone need not be known.
            return [None] * chunk.length
        one = convert(*chunk.field.parameters)
        numbers = _masked(chunk.numbers().tolist(), valid)
        return [None if number is None else one(number) for number in numbers]

    return decoder


def _floats(chunk, valid):
    if chunk.field.format == "e":  # Which `memoryview` learns in a Python of the future.
        return _masked(list(struct.unpack(f"<{chunk.length}e", chunk.buffers[1])), valid)
    return _masked(chunk.numbers().tolist(), valid)


def _decimals(chunk, valid):
    from decimal import Context, Decimal

    scale = chunk.field.parameters[1]
    context = Context(prec=100, Emax=10**6, Emin=-(10**6))  # More digits than there are.
    pieces = _pieces(chunk, valid)
    numbers = [piece and int.from_bytes(piece, "little", signed=True) for piece in pieces]
    return [None if n is None else Decimal(n).scaleb(-scale, context) for n in numbers]


def _pieces(chunk, valid):
    width, data = chunk.field.layout[1], chunk.buffers[1]
    pieces = [bytes(data[at * width : (at + 1) * width]) for at in range(chunk.length)]
    return _masked(pieces, valid)


def _microseconds(number, unit):
    if unit < 3:
        return number * (1_000_000, 1_000, 1)[unit]
    whole, rest = divmod(number, 1000)
    if rest:
        raise ValueError(
            f"{number} ns are no whole microseconds, which is what Python's datetime holds:"
            " `values` has the numbers"
        )
    return whole


def _date(unit):
    return lambda number: date.fromordinal(719_163 + (number // 86_400_000 if unit else number))


def _time(unit, _):
    def one(number):
        micros = _microseconds(number, unit)
        if not 0 <= micros < _DAY:
            raise ValueError(f"{number} {UNITS[unit]} is no time of day")
        return (datetime.min + timedelta(microseconds=micros)).time()

    return one


def _duration(unit):
    return lambda number: timedelta(microseconds=_microseconds(number, unit))


def _timestamp(unit, zone):
    if not zone:
        epoch = datetime(1970, 1, 1)
        return lambda number: epoch + timedelta(microseconds=_microseconds(number, unit))
    there, epoch = _zone(zone), datetime(1970, 1, 1, tzinfo=timezone.utc)
    return lambda number: (epoch + timedelta(microseconds=_microseconds(number, unit))).astimezone(
        there
    )


def _zone(name):
    if name.upper() in ("UTC", "Z"):
        return timezone.utc
    if name[0] in "+-":
        hours, _, minutes = name[1:].partition(":")
        shift = timedelta(hours=int(hours), minutes=int(minutes or 0))
        return timezone(-shift if name[0] == "-" else shift)
    import zoneinfo

    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(
            f"the time zone {name!r} is not known here ({error}): the package tzdata knows all"
        ) from None


def _cut(values, cuts, valid):
    return _masked([values[a:b] for a, b in zip(cuts, islice(cuts, 1, None))], valid)


def _strings(chunk, valid):
    cuts = chunk.cuts(len(chunk.buffers[2]))
    first = cuts[0]
    data = bytes(chunk.buffers[2][first : cuts[-1]])
    if first:
        cuts = [cut - first for cut in cuts]
    if chunk.field.kind.endswith("binary"):
        return _cut(data, cuts, valid)
    if data.isascii():
        return _cut(data.decode("ascii"), cuts, valid)
    return [None if text is None else text.decode() for text in _cut(data, cuts, valid)]


def _lists(chunk, valid):
    child = chunk.children[0]
    cuts = chunk.cuts(child.length)
    first = cuts[0]
    child = child.slice(first, cuts[-1] - first)
    if first:
        cuts = [cut - first for cut in cuts]
    live = None
    if valid is not None:
        sizes = zip(valid, cuts, islice(cuts, 1, None))
        live = list(chain.from_iterable([is_valid] * (b - a) for is_valid, a, b in sizes))
    if chunk.field.kind == "map":
        entries = list(zip(*(decode(entry, live) for entry in child.children)))
        return _cut(entries, cuts, valid)
    return _cut(decode(child, live), cuts, valid)


def _fixed_lists(chunk, valid):
    size = chunk.field.parameters[0]
    live = None if valid is None else [flag for flag in valid for _ in range(size)]
    cuts = [row * size for row in range(chunk.length + 1)]
    return _cut(decode(chunk.children[0], live), cuts, valid)


def _structs(chunk, valid):
    if not chunk.children:
        return _masked([{} for _ in range(chunk.length)], valid)
    names = [child.field.name for child in chunk.children]
    if len(set(names)) < len(names):
        raise ValueError("two fields of one name, of which no dict is made")
    rows = zip(*[decode(child, valid) for child in chunk.children])
    return _masked([dict(zip(names, row)) for row in rows], valid)


def _looked_up(chunk, valid):
    dictionary, chunks = chunk.dictionary
    indices = _masked(chunk.numbers().tolist(), valid)
    size = dictionary.lengths[chunks]
    wrong = [index for index in set(indices) if index is not None and not 0 <= index < size]
    if wrong:
        raise ValueError(f"no Arrow stream: index {wrong[0]} into a dictionary of {size} values")
    values = dictionary.read(chunks, decode)
    if chunk.field.children[0].kind in _MUTABLE:
        from copy import deepcopy

        weights = {}
        for index in indices:
            if index is not None and index not in weights:
                weights[index] = _weight(values[index])
        total = sum(map(weights.__getitem__, filter(weights.__contains__, indices)))
        if total > _MAX_COPIED:
            raise ValueError(
                f"{chunk.length} rows that stand for {total} values of a dictionary, of which at"
                f" most {_MAX_COPIED} are made here: {WAY_OUT}"
            )
        # A change of one must not change the dictionary or another row.
        return [None if index is None else deepcopy(values[index]) for index in indices]
    return [None if index is None else values[index] for index in indices]


def _weight(value):
    """Returns the number of values in one."""
    if isinstance(value, dict):
        value = value.values()
    elif not isinstance(value, (list, tuple)):
        return 1
    return 1 + sum(map(_weight, value))


_MAX_COPIED = 1 << 24
_MUTABLE = ("list", "large_list", "fixed_size_list", "map", "struct")


_DECODERS = {
    "null": lambda chunk, _: [None] * chunk.length,
    "bool": lambda chunk, valid: _masked(_bits(chunk.buffers[1], chunk.length), valid),
    "int": lambda chunk, valid: _masked(chunk.numbers().tolist(), valid),
    "float": _floats,
    "decimal": _decimals,
    "date": _converted(_date),
    "time": _converted(_time),
    "timestamp": _converted(_timestamp),
    "duration": _converted(_duration),
    "fixed_size_binary": _pieces,
    "binary": _strings,
    "utf8": _strings,
    "large_binary": _strings,
    "large_utf8": _strings,
    "list": _lists,
    "large_list": _lists,
    "map": _lists,
    "fixed_size_list": _fixed_lists,
    "struct": _structs,
    "dictionary": _looked_up,
}


def unreadable(field):
    """Returns the type in a field that is not supported here, if there is one."""
    if field.kind not in _DECODERS:
        return field.type
    return next(filter(None, map(unreadable, field.children)), None)


def to_numpy(field, chunks, to_pylist):
    """Returns the values as one numpy array, as for `Column.to_numpy`."""
    try:
        import numpy
    except ImportError as error:
        raise ImportError(
            f"this stage's environment has no numpy: add it to its runtime_env ({error})"
        ) from None
    kind = field.kind
    if kind in ("timestamp", "duration"):
        unit = UNITS[field.parameters[0]]
        dtype = f"{'M' if kind == 'timestamp' else 'm'}8[{unit}]"
    elif kind in ("int", "float"):
        letter = "f" if kind == "float" else "i" if field.parameters[1] else "u"
        dtype = f"{letter}{field.layout[1]}"
    else:
        values = to_pylist()
        is_whole = kind == "bool" and not any(chunk.nulls for chunk in chunks)
        out = numpy.empty(len(values), bool if is_whole else object)
        for at, value in enumerate(values):  # All at once, numpy would look into lists.
            out[at] = value
        return out
    # An array over the buffer itself would keep it from being released.
    parts = [numpy.asarray(chunk.buffers[1]).view(dtype) for chunk in chunks]
    out = parts[0] if len(parts) == 1 else numpy.concatenate([numpy.empty(0, dtype), *parts])
    if any(chunk.nulls for chunk in chunks):
        valid = [chunk.nulls and _bits(chunk.buffers[0], chunk.length) for chunk in chunks]
        valid = [flags or [True] * chunk.length for flags, chunk in zip(valid, chunks)]
        is_null = ~numpy.array(list(chain.from_iterable(valid)), bool)
        out = out.astype(float if kind == "int" else dtype)
        out[is_null] = "NaT" if dtype[0] in "mM" else float("nan")
    return out


# From values to memory.

_WHOLE = {"b": True, "h": True, "i": True, "l": True, "q": True, "n": True}
_WHOLE.update(dict.fromkeys("BHILQN", False))
_KIND_OF = {
    type(None): None,
    bool: "bool",
    int: "int",
    float: "float",
    str: "utf8",
    bytes: "binary",
    bytearray: "binary",
    memoryview: "binary",
    date: "date",
    datetime: "timestamp",
    time: "time",
    timedelta: "duration",
    list: "list",
    tuple: "list",
    dict: "struct",
}
_MICRO = timedelta(microseconds=1)


def _chunk(name, kind, parameters, values, buffers=(), children=()):
    nulls = values.count(None) if isinstance(values, list) else 0
    valid = _packed([value is not None for value in values]) if nulls else None
    fields = tuple(child.field for child in children)
    buffers = [valid, *(memoryview(buffer).cast("B").toreadonly() for buffer in buffers)]
    field = Field(name, True, kind, parameters, fields, (), None)
    return Chunk(field, len(values), nulls, buffers, children)


def _packed(flags):
    """Returns booleans as bits."""
    text = "".join(["1" if flag else "0" for flag in flags])
    return memoryview(int(text[::-1] or "0", 2).to_bytes((len(text) + 7) // 8, "little"))


def check_name(name, what):
    """Fails for a name that cannot be written."""
    try:
        name.encode()
    except UnicodeEncodeError:
        raise ValueError(f"{what} {name!r}, which is no UTF-8") from None


def encode(name, values):
    """Returns the chunk of a column's values."""
    if hasattr(values, "mask") and hasattr(values, "tolist"):
        values = values.tolist()  # Its memory does not tell what is masked, which becomes null.
    if not isinstance(values, (list, tuple, str)):
        try:
            view = memoryview(values)
        except (TypeError, ValueError):  # It has no numbers side by side.
            pass
        else:
            code, size = view.format[-1:], view.itemsize
            is_known = len(view.format) == 1 and (code in _WHOLE or code in "efd")
            if view.ndim == 1 and is_known:
                kind, parameters = "float", ({2: 0, 4: 1, 8: 2}.get(size),)
                if code in _WHOLE:
                    kind, parameters = "int", (8 * size, _WHOLE[code])
                data = view if view.c_contiguous else view.tobytes()
                return _chunk(name, kind, parameters, view, [data])
    if isinstance(values, (str, dict)) or not hasattr(values, "__iter__"):
        raise TypeError(f"column {name!r} is {_name_of(type(values))}, and no sequence of values")
    return _infer(name, list(values), lambda row: f"column {name!r}, row {row}")


def _infer(name, values, where, depth=0):
    """Returns the chunk of values; `where` returns the place of each one for errors."""
    if depth > 60:
        raise TypeError(f"{where(0)[:60]} …: lists and dicts more than 60 deep")
    types = {type_: _kind_of(type_) for type_ in set(map(type, values))}
    if "numpy" in types.values():
        values = [_plain(value) if types[type(value)] == "numpy" else value for value in values]
        left = {type_: _kind_of(type_) for type_ in set(map(type, values))}
        if "numpy" in left.values():  # Some numbers of numpy's are none of Python's.
            _refuse(
                values, {it: "" if kind == "numpy" else kind for it, kind in left.items()}, where
            )
        return _infer(name, values, where, depth + 1)
    kinds = set(types.values()) - {None}
    if kinds == {"int", "float"}:
        kinds = {"exact"}
    if len(kinds) > 1 or "" in kinds:
        _refuse(values, types, where)
    if not kinds:
        return Chunk(Field(name, True, "null", (), (), (), None), len(values), len(values), [])
    kind = kinds.pop()
    if kind in ("list", "struct"):
        nested = _encode_lists if kind == "list" else _encode_structs
        return nested(name, values, where, depth + 1)
    encoder = _ENCODERS[kind]
    try:
        return encoder(name, values)
    except (ValueError, OverflowError, TypeError) as whole:
        first = next(value for value in values if value is not None)
        for row, value in enumerate(values):
            try:
                # Together with the first one, since some types do not fit together.
                encoder(name, [first, value])
            except (ValueError, OverflowError, TypeError) as error:
                raise ValueError(f"{where(row)}: {error}") from None
        raise ValueError(f"{where(0)} or below: {whole}") from None


def _kind_of(type_):
    """Returns the kind that values of a Python type become; `""` if none."""
    if type_ in _KIND_OF:
        return _KIND_OF[type_]
    if hasattr(type_, "tolist") and type_.__name__ not in ("datetime64", "timedelta64"):
        return "numpy"
    bases = (int, float, str, bytes, list, tuple, dict)
    return next((_KIND_OF[base] for base in type_.__mro__ if base in bases), "")


def _plain(value):
    """Returns Python's value for one of numpy's."""
    is_moment = getattr(getattr(value, "dtype", None), "kind", None) in ("M", "m")
    # Those in nanoseconds would be plain numbers.
    return list(value) if is_moment else value.tolist()


def _name_of(type_):
    module = type_.__module__
    return type_.__qualname__ if module == "builtins" else f"{module}.{type_.__qualname__}"


def _refuse(values, types, where):
    first = None
    for row, value in enumerate(values):
        kind = types[type(value)]
        name = _name_of(type(value))
        if kind == "":
            is_moment = name in ("numpy.datetime64", "numpy.timedelta64")
            hint = ": `array.astype('M8[us]').tolist()` gives values that go" if is_moment else ""
            raise TypeError(f"{where(row)}: {name}, of which no column is made{hint}")
        if kind is not None:
            first = first or (kind, name)
            if kind != first[0] and {kind, first[0]} != {"int", "float"}:
                raise TypeError(f"{where(row)}: {name} in a column of {first[1]}")


def _numbers(name, kind, parameters, code, values, convert=None):
    if convert is not None:
        values = [None if value is None else convert(value) for value in values]
    filled = [0 if value is None else value for value in values]
    return _chunk(name, kind, parameters, values, [array(code, filled)])


def _encode_ints(name, values):
    present = [value for value in values if value is not None]
    low, high = min(present), max(present)
    if high >= 1 << 63 and low >= 0:
        return _numbers(name, "int", (64, False), "Q", values)
    if not -(1 << 63) <= low <= high < 1 << 63:
        raise ValueError(f"{low} and {high} do not go into 64 bits")
    return _numbers(name, "int", (64, True), "q", values)


def _exact(number):
    if float(number) != number and number == number:
        raise ValueError(f"{number} is not exact as a floating-point number")
    return float(number)


def _encode_timestamps(name, values):
    zones = [value.tzinfo for value in values if value is not None]
    zone = zones[0]
    if any((other is None) != (zone is None) for other in zones):
        raise ValueError("a time with a zone and one without")
    epoch = datetime(1970, 1, 1, tzinfo=zone and timezone.utc)
    parameters = (2, zone and _zone_name(zone))

    def convert(moment):
        return (moment - epoch) // _MICRO

    return _numbers(name, "timestamp", parameters, "q", values, convert)


def _zone_name(zone):
    name = getattr(zone, "key", None) or getattr(zone, "zone", None)
    shift = zone.utcoffset(None) if isinstance(zone, timezone) else None
    if name or not shift or shift % timedelta(minutes=1):
        return name or "UTC"  # The moments are right in any zone.
    minutes = abs(shift) // timedelta(minutes=1)
    return f"{'-' if shift < timedelta() else '+'}{minutes // 60:02}:{minutes % 60:02}"


def _time_of_day(value):
    if value.tzinfo is not None:
        raise ValueError("a time of day with a zone")
    return (datetime.combine(date.min, value) - datetime.min) // _MICRO


def _offsets(sizes):
    """Returns the offsets that cut pieces of these sizes, and the offsets' kind."""
    cuts = list(accumulate(sizes, initial=0))
    code = "i" if cuts[-1] < 1 << 31 else "q"
    return "" if code == "i" else "large_", array(code, cuts)


def _encode_strings(kind):
    def encoder(name, values):
        to_bytes = str.encode if kind == "utf8" else bytes
        pieces = [b"" if value is None else to_bytes(value) for value in values]
        large, cuts = _offsets(map(len, pieces))
        return _chunk(name, large + kind, (), values, [cuts, b"".join(pieces)])

    return encoder


def _encode_lists(name, values, where, depth):
    lists = [() if value is None else value for value in values]
    large, cuts = _offsets(map(len, lists))

    def inner(at):
        row = bisect_right(cuts, at) - 1
        return f"{where(min(row, len(lists) - 1))}, item {at - cuts[row]}"

    child = _infer("item", list(chain.from_iterable(lists)), inner, depth)
    return _chunk(name, f"{large}list", (), values, [cuts], [child])


def _encode_structs(name, values, where, depth):
    keys = dict.fromkeys(chain.from_iterable(value for value in values if value is not None))
    children = []
    for key in keys:
        if not isinstance(key, str):
            raise TypeError(f"{where(0)} or below: a key {key!r}, and keys are text")
        check_name(key, f"{where(0)} or below: a key")
        items = [None if value is None else value.get(key) for value in values]
        children.append(_infer(key, items, lambda at, key=key: f"{where(at)}, {key!r}", depth))
    return _chunk(name, "struct", (), values, [], children)


_ENCODERS = {
    "bool": lambda name, values: _chunk(name, "bool", (), values, [_packed(values)]),
    "int": _encode_ints,
    "float": lambda name, values: _numbers(name, "float", (2,), "d", values),
    "exact": lambda name, values: _numbers(name, "float", (2,), "d", values, _exact),
    "utf8": _encode_strings("utf8"),
    "binary": _encode_strings("binary"),
    "date": lambda name, values: _numbers(
        name, "date", (0,), "i", values, lambda day: day.toordinal() - 719_163
    ),
    "timestamp": _encode_timestamps,
    "time": lambda name, values: _numbers(name, "time", (2, 64), "q", values, _time_of_day),
    "duration": lambda name, values: _numbers(
        name, "duration", (2,), "q", values, lambda span: span // _MICRO
    ),
}
