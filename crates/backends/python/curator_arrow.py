"""Reads and writes Arrow's IPC streams with nothing but Python and its standard library.

Columns that are read are views of the stream's memory, and are written unchanged. Any bytes are
columns or an error: every offset and length is checked before it is used. The values inside of a
column are not checked here, so all types can be passed on; `curator_values.py` makes values of most
types, and `curator_table.py` is the interface of stages.
"""

import struct
import sys
from _thread import allocate_lock
from array import array
from bisect import bisect_left
from collections import namedtuple
from functools import lru_cache
from itertools import count

WAY_OUT = "add pyarrow to the stage's runtime_env"

_ALIGNMENT = 64
_MAX_DEPTH = 64
# Maximum number of rows without any bytes, such as nulls without a type.
_MAX_UNBACKED = 1 << 20

# Types. The schema numbers them from 1.
_KINDS = [
    *("null", "int", "float", "binary", "utf8", "bool", "decimal", "date", "time", "timestamp"),
    *("interval", "list", "struct", "union", "fixed_size_binary", "fixed_size_list", "map"),
    *("duration", "large_binary", "large_utf8", "large_list", "run_end_encoded", "binary_view"),
    *("utf8_view", "list_view", "large_list_view"),
]
# Their parameters, each with its format in the schema and its default.
_PARAMETERS = {
    "int": (("i", 0), ("?", False)),  # bits, is signed
    "float": (("h", 0),),
    "decimal": (("i", 0), ("i", 0), ("i", 128)),  # precision, scale, bits
    "date": (("h", 1),),
    "time": (("h", 1), ("i", 32)),  # unit, bits
    "timestamp": (("h", 0), ("text", None)),  # unit, zone
    "interval": (("h", 0),),
    "union": (("h", 0), ("ints", None)),  # is dense, the children's numbers
    "fixed_size_binary": (("i", 0),),
    "fixed_size_list": (("i", 0),),
    "map": (("?", False),),
    "duration": (("h", 1),),
}
# Bytes of fixed-width types for each row; `None` or an error if there is no such type.
_WIDTHS = {
    "int": lambda bits, _: {8: 1, 16: 2, 32: 4, 64: 8}.get(bits),
    "dictionary": lambda bits, *_: {8: 1, 16: 2, 32: 4, 64: 8}.get(bits),
    "float": lambda precision: {0: 2, 1: 4, 2: 8}.get(precision),
    "decimal": lambda _, scale, bits: {32: 4, 64: 8, 128: 16, 256: 32}.get(bits),
    "date": lambda unit: {0: 4, 1: 8}.get(unit),
    "time": lambda unit, bits: {(0, 32): 4, (1, 32): 4, (2, 64): 8, (3, 64): 8}.get((unit, bits)),
    "timestamp": lambda unit, _: 8 if 0 <= unit <= 3 else None,
    "duration": lambda unit: 8 if 0 <= unit <= 3 else None,
    "interval": lambda unit: {0: 4, 1: 8, 2: 16}.get(unit),
    "fixed_size_binary": lambda width: width if width >= 0 else None,
}
# The buffers of the other types: a bit for each row, a number of bytes for each row, offsets of 4
# bytes (`i`) or 8 (`q`), one more than rows, and the data that the offsets cut. The first bits mark
# non-null rows.
_LAYOUTS = {
    "null": (),
    "bool": ("bits", "bits"),
    "binary": ("bits", "i", "data"),
    "utf8": ("bits", "i", "data"),
    "large_binary": ("bits", "q", "data"),
    "large_utf8": ("bits", "q", "data"),
    "list": ("bits", "i"),
    "map": ("bits", "i"),
    "large_list": ("bits", "q"),
    "struct": ("bits",),
    "fixed_size_list": ("bits",),
    "run_end_encoded": (),
    "binary_view": ("bits", 16),
    "utf8_view": ("bits", 16),
    "list_view": ("bits", 4, 4),
    "large_list_view": ("bits", 8, 8),
}
_CHILDREN = {"list": 1, "large_list": 1, "map": 1, "fixed_size_list": 1, "run_end_encoded": 2}
_CHILDREN.update({"list_view": 1, "large_list_view": 1, "struct": None, "union": None})
UNITS = ("s", "ms", "us", "ns")
# The names that `pyarrow` prints, if they differ from the kind's name.
_TEXTS = {
    "int": lambda bits, is_signed: f"{'' if is_signed else 'u'}int{bits}",
    "float": lambda precision: ("halffloat", "float", "double")[precision],
    "utf8": lambda: "string",
    "large_utf8": lambda: "large_string",
    "utf8_view": lambda: "string_view",
    "decimal": lambda precision, scale, bits: f"decimal{bits}({precision}, {scale})",
    "date": lambda unit: ("date32[day]", "date64[ms]")[unit],
    "time": lambda unit, bits: f"time{bits}[{UNITS[unit]}]",
    "timestamp": lambda unit, zone: f"timestamp[{UNITS[unit]}{f', tz={zone}' if zone else ''}]",
    "duration": lambda unit: f"duration[{UNITS[unit]}]",
    "interval": lambda unit: f"{('month', 'day_time', 'month_day_nano')[unit]}_interval",
    "fixed_size_binary": lambda width: f"fixed_size_binary[{width}]",
}


def _check(is_so, problem):
    if not is_so:
        raise ValueError(f"no Arrow stream: {problem}")


class Field(namedtuple("Field", "name nullable kind parameters children metadata ident")):
    """What a column is. One of kind `dictionary` has the field of its values as its child, and the
    number of the dictionary as its `ident`; its parameters are those of its indices, and whether
    the values are in order."""

    __slots__ = ()

    @property
    def layout(self):
        if self.kind == "union":
            return (1, 4) if self.parameters[0] else (1,)
        layout = _LAYOUTS.get(self.kind)
        return ("bits", _WIDTHS[self.kind](*self.parameters)) if layout is None else layout

    @property
    def format(self):
        """Returns `memoryview`'s format of the field's numbers; None if it has none."""
        if self.kind == "float":
            return "efd"[self.parameters[0]]
        if self.kind not in ("int", "dictionary", "date", "time", "timestamp", "duration"):
            return None
        letter = {1: "b", 2: "h", 4: "i", 8: "q"}[self.layout[1]]
        is_unsigned = self.kind in ("int", "dictionary") and not self.parameters[1]
        return letter.upper() if is_unsigned else letter

    @property
    def type(self):
        kind, parameters, children = self.kind, self.parameters, self.children
        if kind in _TEXTS:
            return _TEXTS[kind](*parameters)
        is_marked = kind != "run_end_encoded"  # The type itself has that runs end somewhere.
        inner = [
            f"{child.name}: {child.type}{' not null' if is_marked and not child.nullable else ''}"
            for child in children
        ]
        if kind == "dictionary":
            indices = _TEXTS["int"](*parameters[:2])
            values, is_ordered = children[0].type, int(parameters[2])
            return f"dictionary<values={values}, indices={indices}, ordered={is_ordered}>"
        if kind == "map":
            key, value = children[0].children
            is_sorted = ", keys_sorted" if parameters[0] else ""
            return f"map<{key.type}, {value.type}{is_sorted}>"
        if kind == "union":
            numbers = parameters[1] or range(len(inner))
            inner = [f"{text}={number}" for text, number in zip(inner, numbers)]
            kind = "dense_union" if parameters[0] else "sparse_union"
        size = f"[{parameters[0]}]" if kind == "fixed_size_list" else ""
        return f"{kind}<{', '.join(inner)}>{size}" if inner or kind == "struct" else kind

    @property
    def rows_below(self):
        """Returns the number of its children's rows for each of its own; None if it is not
        fixed."""
        if self.kind == "fixed_size_list":
            return self.parameters[0]
        is_side_by_side = self.kind == "struct" or (self.kind == "union" and not self.parameters[0])
        return 1 if is_side_by_side else None

    def dictionaries(self):
        """Returns the number of dictionaries in it."""
        inner = sum(child.dictionaries() for child in self.children)
        return inner + (self.kind == "dictionary")


# The memory of columns.


def cut_bits(view, offset, length):
    """Returns some bits of a view as a view, and the number of zeros among them."""
    whole = int.from_bytes(view[offset // 8 : (offset + length + 7) // 8], "little")
    bits = whole >> offset % 8 & (1 << length) - 1
    return memoryview(bits.to_bytes((length + 7) // 8, "little")), length - bin(bits).count("1")


class Dictionary:
    """The values that indices refer to. Later batches may add to them."""

    __slots__ = ("chunks", "lengths", "lock", "values")

    def __init__(self):
        self.chunks = []
        self.lengths = [0]  # of the first chunks
        self.values = []  # of those that were read
        self.lock = allocate_lock()

    def add(self, chunk):
        self.chunks.append(chunk)
        self.lengths.append(self.lengths[-1] + chunk.length)

    def read(self, chunks, decode):
        """Returns the values of at least the first `chunks` chunks."""
        with self.lock:
            for at in range(bisect_left(self.lengths, len(self.values)), chunks):
                self.values += decode(self.chunks[at])
        return self.values


class Chunk:
    """One piece of a column in Arrow's layout. Its buffers have the right lengths; their contents
    are checked when they are read."""

    __slots__ = ("buffers", "children", "dictionary", "field", "length", "nulls")

    def __init__(self, field, length, nulls, buffers, children=(), dictionary=None):
        self.field = field
        self.length = length
        self.nulls = nulls
        self.buffers = buffers  # The first is None where nothing is null.
        self.children = children
        self.dictionary = dictionary  # A `Dictionary`, and how many chunks it had.

    def slice(self, offset, length):
        if (offset, length) == (0, self.length):
            return self
        field, nulls = self.field, 0
        buffers = list(self.buffers)
        for at, (kind, buffer) in enumerate(zip(field.layout, buffers)):
            if buffer is None or kind == "data":
                continue
            if kind == "bits":
                buffers[at], zeros = cut_bits(buffer, offset, length)
                nulls = nulls if at else zeros
            else:
                width, more = (struct.calcsize(kind), 1) if kind in ("i", "q") else (kind, 0)
                buffers[at] = buffer[offset * width : (offset + length + more) * width]
        if field.layout[:1] == ("bits",) and not nulls:
            buffers[0] = None
        if field.kind == "run_end_encoded":
            raise TypeError(
                f"{field.name!r} is of type {field.type}, which only pyarrow can cut: {WAY_OUT}"
            )
        children, below = self.children, field.rows_below
        if below is not None:
            children = [child.slice(offset * below, length * below) for child in children]
        nulls = length if field.kind == "null" else nulls
        return Chunk(field, length, nulls, buffers, children, self.dictionary)

    def numbers(self):
        """Returns a view of its numbers."""
        return self.buffers[1].cast(self.field.format)

    def cuts(self, size):
        """Returns the offsets, as a list, into data of this size."""
        cuts = self.buffers[1].cast(self.field.layout[1]).tolist()
        if not (cuts[0] >= 0 and cuts[-1] <= size and cuts == sorted(cuts)):
            name = self.field.name
            raise ValueError(f"no Arrow stream: offsets in {name!r} that leave its {size} values")
        return cuts

    def compact(self):
        """Returns it without data that no offset refers to, as slices have it."""
        layout = self.field.layout
        if "i" not in layout and "q" not in layout:
            return self
        offsets = self.buffers[1].cast(layout[1])
        data = self.buffers[2] if "data" in layout else self.children[0]
        size = len(data) if "data" in layout else data.length
        first, last = offsets[0], offsets[-1]
        if (first, last) == (0, size):
            return self
        cuts = self.cuts(size)
        offsets = memoryview(array(layout[1], [cut - first for cut in cuts])).cast("B")
        buffers, children = [self.buffers[0], offsets], ()
        if "data" in layout:
            buffers.append(data[first:last])
        else:
            children = [data.slice(first, last - first)]
        return Chunk(self.field, self.length, self.nulls, buffers, children)


# Reading a stream: messages, each of them a flatbuffer and a body.


class _Flat:
    """A table in a flatbuffer. `budget` stops references that repeat the same bytes."""

    __slots__ = ("at", "budget", "data", "size", "slots")

    def __init__(self, data, at, budget):
        self.data, self.at, self.budget = data, at, budget
        self.slots = at - self._get("i", at)
        _check(self.slots >= 0, "a table of nowhere")
        self.size = self._get("H", self.slots)
        self._spend(4 + self.size)

    @classmethod
    def root(cls, data):
        return cls(data, struct.unpack_from("<I", data)[0], [8 * len(data)])

    def _get(self, code, at):
        return struct.unpack_from("<" + code, self.data, at)[0]

    def _spend(self, size):
        self.budget[0] -= size
        _check(self.budget[0] >= 0, "tables that go in circles")

    def slot(self, number):
        """Returns the place of a value; 0 if it is left out."""
        entry = 4 + 2 * number
        offset = self._get("H", self.slots + entry) if entry + 2 <= self.size else 0
        return self.at + offset if offset else 0

    def number(self, slot, code, default=0):
        at = self.slot(slot)
        return self._get(code, at) if at else default

    def _follow(self, at):
        return at + self._get("I", at)

    def table(self, slot):
        at = self.slot(slot)
        return _Flat(self.data, self._follow(at), self.budget) if at else None

    def items(self, slot, size):
        """Returns the place of a vector's first item, and the number of items."""
        at = self.slot(slot)
        if not at:
            return 0, 0
        at = self._follow(at)
        number = self._get("I", at)
        self._spend(4 + number * size)
        _check(at + 4 + number * size <= len(self.data), "a list that is cut off")
        return at + 4, number

    def tables(self, slot):
        at, number = self.items(slot, 4)
        places = range(at, at + 4 * number, 4)
        return [_Flat(self.data, self._follow(place), self.budget) for place in places]

    def numbers(self, slot, code):
        """Returns a vector of numbers, or of tuples of them."""
        at, number = self.items(slot, struct.calcsize("<" + code))
        end = at + number * struct.calcsize("<" + code)
        return list(struct.iter_unpack("<" + code, self.data[at:end]))

    def text(self, slot):
        at, size = self.items(slot, 1)
        return bytes(self.data[at : at + size])

    def pairs(self, slot):
        """Returns metadata, in its order."""
        return tuple((pair.text(0), pair.text(1)) for pair in self.tables(slot))

    def value(self, slot, code, default):
        """Returns a parameter of a type."""
        if code == "text":
            return self.text(slot).decode() or default
        if code == "ints":
            return tuple(number for (number,) in self.numbers(slot, "i")) or default
        return self.number(slot, code, default)


def _read_field(flat, depth=0):
    name, number = flat.text(0).decode(), flat.number(2, "B")
    _check(depth < _MAX_DEPTH, f"types more than {_MAX_DEPTH} deep")
    _check(0 < number <= len(_KINDS), f"{name!r} is of a type with the unknown number {number}")
    kind, type_ = _KINDS[number - 1], flat.table(3)
    parameters = tuple(
        default if type_ is None else type_.value(slot, code, default)
        for slot, (code, default) in enumerate(_PARAMETERS.get(kind, ()))
    )
    children = tuple(_read_field(child, depth + 1) for child in flat.tables(5))
    metadata, nullable = flat.pairs(6), flat.number(1, "?", False)
    field = Field(name, nullable, kind, parameters, children, metadata, None)
    encoding = flat.table(4)
    _check(
        (kind in _LAYOUTS or kind == "union" or _WIDTHS[kind](*parameters) is not None)
        and _CHILDREN.get(kind, 0) in (len(children), None)
        and (kind != "fixed_size_list" or parameters[0] >= 0)
        and (kind != "union" or parameters[0] in (0, 1))
        and (kind != "map" or (children[0].kind, len(children[0].children)) == ("struct", 2)),
        f"{name!r} is of type {kind} with {parameters} and {len(children)} children",
    )
    if encoding is None:
        return field
    index = encoding.table(1)
    bits = (32, True) if index is None else (index.number(0, "i"), index.number(1, "?", False))
    parameters, ident = (*bits, encoding.number(2, "?", False)), encoding.number(0, "q")
    _check(_WIDTHS["dictionary"](*parameters), f"indices of {bits[0]} bits")
    return Field(name, nullable, "dictionary", parameters, (field,), metadata, ident)


@lru_cache(maxsize=4)  # A stage's tables are mostly of one.
def _read_schema(message):
    """Returns the fields, the metadata, and the dictionaries' fields by their numbers."""
    message = _Flat.root(message)
    version, header = message.number(0, "h"), message.table(2)
    _check(version >= 0, f"it is of version {version + 1}")
    if version < 4:
        raise TypeError(
            f"the table is of version {version + 1}, which only pyarrow reads: {WAY_OUT}"
        )
    if header.number(0, "h"):
        raise TypeError(f"the table is big-endian, which only pyarrow reads: {WAY_OUT}")
    fields, values = [_read_field(field) for field in header.tables(1)], {}
    pending = list(fields)
    while pending:
        field = pending.pop()
        pending += field.children
        if field.kind == "dictionary":
            known = values.setdefault(field.ident, field.children[0])
            _check(known.type == field.children[0].type, "a dictionary of two types")
    return fields, header.pairs(2), values


class Reader:
    """Reads a stream, message by message."""

    def __init__(self, data):
        _check(sys.byteorder == "little", "this machine's numbers are big-endian")
        self._data = data
        self.fields = self.metadata = None
        self.batches = []  # each one its length and its chunks
        self._dictionaries = {}
        # Counts all rows of all columns, on every level, and the bytes of columns: a row may be a
        # bit, and several columns may refer to the same bytes.
        self._limit = 8 * len(data) + _MAX_UNBACKED
        self._rows = self._bytes = 0
        for number, message, header, body in self._messages():
            if number == 1:
                _check(self.fields is None, "a second schema")
                self.fields, self.metadata, self._values = _read_schema(bytes(message))
            else:
                _check(self.fields is not None, "it does not begin with a schema")
                _check(number in (2, 3), f"a message of kind {number}")
                (self._read_dictionary if number == 2 else self._read_batch)(header, body)
        _check(self.fields is not None, "it ends before its schema")

    def _messages(self):
        at, data = 0, self._data
        while at < len(data):
            size = struct.unpack_from("<I", data, at)[0]
            at += 4
            if size == 0xFFFF_FFFF:
                size = struct.unpack_from("<I", data, at)[0]
                at += 4
            if not size:
                return
            _check(size <= len(data) - at, "it is cut off in a message")
            message = data[at : at + size]
            flat = _Flat.root(message)
            at += size
            size, header = flat.number(3, "q"), flat.table(2)
            _check(0 <= size <= len(data) - at, "it is cut off in a body")
            _check(header is not None, "a message without a header")
            yield flat.number(1, "B"), message, header, data[at : at + size]
            at += size

    def _read_batch(self, header, body):
        length, chunks = self._read_chunks(self.fields, header, body)
        self.batches.append((length, chunks))

    def _read_dictionary(self, header, body):
        ident, batch = header.number(0, "q"), header.table(1)
        _check(ident in self._values and batch is not None, f"a dictionary {ident} for nothing")
        _, (chunk,) = self._read_chunks([self._values[ident]], batch, body)
        if _is_early(chunk):
            raise TypeError(
                f"dictionary {ident} stands before one that is part of it, which only pyarrow"
                f" reads: {WAY_OUT}"
            )
        if not header.number(2, "?", False):
            self._dictionaries[ident] = Dictionary()
        _check(ident in self._dictionaries, f"more of dictionary {ident}, which is not there")
        self._dictionaries[ident].add(chunk)

    def _check_length(self, length, whose):
        is_much = f"{length} rows{whose} in {len(self._data)} bytes"
        _check(length >= 0, is_much)
        if length > self._limit:
            raise ValueError(f"{is_much}, which only pyarrow would believe: {WAY_OUT}")

    def _count(self, rows, size, name):
        """Counts the parts of the table, which must not exceed the received bytes by much."""
        self._rows += rows
        self._bytes += size
        for much, what in ((self._rows, "values"), (self._bytes, "bytes of columns")):
            if much > self._limit:
                raise ValueError(
                    f"with {name}, {much} {what} in {len(self._data)} bytes, of which at most"
                    f" {self._limit} are believed here: {WAY_OUT}"
                )

    def _read_chunks(self, fields, header, body):
        if header.slot(3):
            raise TypeError(f"the table is compressed, which only pyarrow reads: {WAY_OUT}")
        length = header.number(0, "q")
        self._check_length(length, "")
        if not fields:
            self._count(length, 0, "the rows of a batch without columns")
        parts = (
            iter(header.numbers(1, "qq")),
            iter(header.numbers(2, "qq")),
            iter(header.numbers(4, "q")),
            body,
        )
        chunks = [self._read_chunk(field, *parts) for field in fields]
        for chunk in chunks:
            name = chunk.field.name
            _check(chunk.length == length, f"{chunk.length} of {length} rows in {name!r}")
        return length, chunks

    def _read_chunk(self, field, nodes, sizes, views, body):
        name, kind = field.name, field.kind
        length, nulls = next(nodes, (-1, 0))
        self._check_length(length, f" of {name!r}")
        _check(0 <= nulls <= length, f"{nulls} nulls in the {length} rows of {name!r}")
        self._count(length, 0, repr(name))
        layout = field.layout
        count, more = len(layout), 0
        if kind in ("binary_view", "utf8_view"):
            (more,) = next(views, (-1,))
            _check(0 <= more <= len(self._data), f"{more} pieces of data for {name!r}")
        buffers = []
        for at in range(count + more):
            offset, size = next(sizes, (-1, 0))
            _check(
                offset >= 0 and size >= 0 and offset + size <= len(body),
                f"a buffer of {name!r} at {offset} of {size} bytes, in a body of {len(body)}",
            )
            self._count(0, size, repr(name))
            buffer, part = body[offset : offset + size], layout[at] if at < count else "data"
            if part == "data":
                buffers.append(buffer)
                continue
            if part in ("i", "q"):
                need = struct.calcsize(part) * (length + 1)
                if not length and not size:
                    buffer, size = memoryview(bytes(need)), need
            else:
                need = (length + 7) // 8 if part == "bits" else part * length
            if at == 0 and part == "bits" and not nulls:
                buffers.append(None)
                continue
            _check(need <= size, f"{size} bytes for the {length} rows of {name!r}, not {need}")
            buffers.append(buffer[:need])
        children, dictionary = (), None
        if kind == "dictionary":
            dictionary = self._dictionaries.get(field.ident) or Dictionary()
            dictionary = (dictionary, len(dictionary.chunks))
        else:
            parts = (nodes, sizes, views, body)
            children = [self._read_chunk(child, *parts) for child in field.children]
        if field.rows_below is not None:
            need = field.rows_below * length
            is_enough = all(need <= child.length for child in children)
            _check(is_enough, f"too few values in {name!r}")
            children = [child.slice(0, need) for child in children]
        nulls = length if kind == "null" else nulls if layout[:1] == ("bits",) else 0
        return Chunk(field, length, nulls, buffers, children, dictionary)


def _is_early(chunk):
    """Returns whether it has values of a dictionary of which nothing has come yet."""
    if chunk.dictionary is not None:
        return chunk.length > chunk.nulls and not chunk.dictionary[1]
    return any(map(_is_early, chunk.children))


# Writing a stream: `_put` makes flatbuffers of Python values. A dict is a table by its slots, a
# list is a vector of tables, bytes are a text, and a tuple is a number's code with one or many
# numbers.


def _put(out, node):
    """Appends a node and all below it; returns its place. Each slot takes 8 bytes."""
    if isinstance(node, bytes):
        out += bytes(-len(out) % 4)
        at = len(out)
        out += struct.pack("<I", len(node)) + node + b"\0"
    elif isinstance(node, tuple):
        code, numbers = node
        out += bytes(-(len(out) + 4) % 8)
        at = len(out)
        out += struct.pack("<I", len(numbers) // len(code))
        out += struct.pack(f"<{len(numbers)}{code[0]}", *numbers)
    elif isinstance(node, list):
        out += bytes(-len(out) % 4)
        at = len(out)
        out += struct.pack("<I", len(node)) + bytes(4 * len(node))
        for place, item in enumerate(node, 1):
            _refer(out, at + 4 * place, item)
    else:
        count = max(node, default=-1) + 1
        out += bytes(-(len(out) + 4 + 2 * count) % 8)
        out += struct.pack("<HH", 4 + 2 * count, 8 + 8 * count)
        out += struct.pack(f"<{count}H", *(slot in node and 8 + 8 * slot for slot in range(count)))
        at = len(out)
        out += struct.pack("<i4x", 4 + 2 * count) + bytes(8 * count)
        for slot, value in node.items():
            place = at + 8 + 8 * slot
            if isinstance(value, tuple) and not isinstance(value[1], (list, tuple)):
                struct.pack_into("<" + value[0], out, place, value[1])
            else:
                _refer(out, place, value)
    return at


def _refer(out, place, node):
    struct.pack_into("<I", out, place, _put(out, node) - place)


def _flat_pairs(pairs):
    return [{0: key, 1: value} for key, value in pairs]


def _flat_field(field, idents):
    node = {0: field.name.encode(), 1: ("?", field.nullable)}
    values = field
    if field.kind == "dictionary":
        bits, is_signed, is_ordered = field.parameters
        index = {0: ("i", bits), 1: ("?", is_signed)}
        node[4] = {0: ("q", next(idents)), 1: index, 2: ("?", is_ordered)}
        (values,) = field.children
    type_ = {}
    for slot, (value, (code, _)) in enumerate(
        zip(values.parameters, _PARAMETERS.get(values.kind, ()))
    ):
        if value is not None:
            number = ("i", value) if code == "ints" else (code, value)
            type_[slot] = value.encode() if code == "text" else number
    node[2], node[3] = ("B", _KINDS.index(values.kind) + 1), type_
    node[5] = [_flat_field(child, idents) for child in values.children]
    if field.metadata:
        node[6] = _flat_pairs(field.metadata)
    return node


class Stream:
    """A table as a stream: its exact length is known before its bytes are written to any memory.
    Nothing is copied before, and buffers begin at multiples of 64 bytes."""

    def __init__(self, fields, metadata, batches):
        self._parts = []
        self._size = 0
        self._dictionaries = {}  # the written ones by their number, with their written lengths
        idents = count()
        schema = {0: ("h", 0), 1: [_flat_field(field, idents) for field in fields]}
        if metadata:
            schema[2] = _flat_pairs(metadata)
        self._add_message(1, schema, (), 0)
        for length, chunks in batches:
            body = _Body()
            ident = 0
            for chunk in chunks:
                ident = self._lay_out(chunk, ident, body)
            self._add_message(3, body.header(length), body.buffers, body.size)
        self._add(struct.pack("<Ii", 0xFFFF_FFFF, 0))

    def size(self):
        """Returns its length in bytes."""
        return self._size

    def write_into(self, memory):
        """Writes all of it into a writable memory of that size."""
        memory, at = memoryview(memory).cast("B"), 0
        for part in self._parts:
            memory[at : at + len(part)] = part
            at += len(part)

    def _add(self, part):
        self._parts.append(part)
        self._size += len(part)

    def _add_message(self, number, header, buffers, size):
        flat = bytearray(4)
        message = {0: ("h", 4), 1: ("B", number), 2: header, 3: ("q", size)}
        struct.pack_into("<I", flat, 0, _put(flat, message))
        flat += bytes(-(len(flat) + 8) % _ALIGNMENT)
        self._add(struct.pack("<Ii", 0xFFFF_FFFF, len(flat)) + flat)
        for buffer in buffers:
            self._add(buffer)
            self._add(bytes(-len(buffer) % _ALIGNMENT))

    def _lay_out(self, chunk, ident, body):
        """Adds a chunk to a batch; returns the number of the next dictionary."""
        chunk = chunk.compact()
        body.add(chunk)
        if chunk.dictionary is not None:
            self._add_dictionary(chunk, ident)
            return ident + chunk.field.dictionaries()
        for child in chunk.children:
            ident = self._lay_out(child, ident, body)
        return ident

    def _add_dictionary(self, chunk, ident):
        """Adds the part of a chunk's dictionary that was not written yet."""
        dictionary, count = chunk.dictionary
        written, done = self._dictionaries.get(ident, (None, 0))
        done = done if written is dictionary else 0
        if done >= count:
            return
        if count > 1 and chunk.field.dictionaries() > 1:
            name, kind = chunk.field.name, chunk.field.type
            raise TypeError(
                f"{name!r} is of type {kind} and in pieces, which only pyarrow writes: {WAY_OUT}"
            )
        for at in range(done, count):
            values, body = dictionary.chunks[at], _Body()
            self._lay_out(values, ident + 1, body)
            batch = {0: ("q", ident), 1: body.header(values.length), 2: ("?", at > 0)}
            self._add_message(2, batch, body.buffers, body.size)
        self._dictionaries[ident] = (dictionary, count)


class _Body:
    """Returns the buffers of a batch, and its header."""

    def __init__(self):
        self.buffers, self.size = [], 0
        self._nodes, self._places, self._views = [], [], []

    def add(self, chunk):
        self._nodes += (chunk.length, chunk.nulls)
        if chunk.field.kind in ("binary_view", "utf8_view"):
            self._views.append(len(chunk.buffers) - len(chunk.field.layout))
        for buffer in chunk.buffers:
            size = 0 if buffer is None else len(buffer)
            self._places += (self.size, size)
            if size:
                self.buffers.append(buffer)
                self.size += size + -size % _ALIGNMENT

    def header(self, length):
        header = {0: ("q", length), 1: ("qq", self._nodes), 2: ("qq", self._places)}
        if self._views:
            header[4] = ("q", self._views)
        return header
