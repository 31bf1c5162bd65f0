"""Arrow tables for stages whose environment has no `pyarrow`: the standard library is enough.

    class AddLength:
        def process(self, task):          # `task.data` is a `Table`
            texts = task.data["text"]     # a column: a sequence of Python values, None for null
            return task.data.append_column("length", [len(text or "") for text in texts])

`Table` has the names of `pyarrow.Table` for everything with the same meaning. A table never
changes: a change returns a new table, which shares the unchanged columns. Nothing is decoded before
it is read, and data that is only passed on never is. A column is the memory that it came in, and
goes out with its own type and bytes. A column of a type that cannot be read here (views, unions,
intervals, run ends) can be passed on, too; only reading it is an error.

Values are those of `pyarrow`'s `to_pylist()`. A time with nanoseconds that Python's `datetime`
cannot represent is an error, and never rounded: `column.values` has such times as numbers.

Needs Python 3.9 and its standard library.
"""

import struct
from _operator import index
from _pickle import PickleBuffer
from collections.abc import Sequence
from itertools import accumulate, chain

from curator_arrow import WAY_OUT, Reader, Stream
from curator_values import check_name, decode, encode, to_numpy, unreadable

__all__ = ["Column", "Table"]


class Column(Sequence):
    """A column of a table: Python values, in one or more pieces of memory."""

    __slots__ = ("_chunks", "_field", "_length")

    def __init__(self, field, chunks):
        self._field = field
        self._chunks = tuple(chunks)
        self._length = sum(chunk.length for chunk in self._chunks)

    @property
    def type(self):
        """Returns the type, as `pyarrow` prints it."""
        return self._field.type

    @property
    def null_count(self):
        return sum(chunk.nulls for chunk in self._chunks)

    @property
    def nbytes(self):
        """Returns its memory in bytes, without its dictionaries."""
        return sum(map(_bytes_of, self._chunks))

    @property
    def num_chunks(self):
        return len(self._chunks)

    @property
    def chunks(self):
        """Returns its pieces, each a column."""
        return [Column(self._field, [chunk]) for chunk in self._chunks]

    @property
    def values(self):
        """Returns the numbers as a read-only `memoryview` without a copy: integers, floating-point
        numbers, and dates and times in their unit.

        Only for a column in one piece without nulls.
        """
        field = self._field
        code = None if field.kind == "dictionary" else field.format
        if code is None:
            raise TypeError(f"column {field.name!r} is {self.type}: use `to_pylist()`")
        if self.null_count:
            raise ValueError(f"column {field.name!r} has nulls: use `to_pylist()`")
        if len(self._chunks) > 1:
            raise ValueError(
                f"column {field.name!r} is in {len(self._chunks)} pieces: take those of `chunks`"
            )
        try:
            return self._chunks[0].numbers() if self._chunks else memoryview(b"").cast(code)
        except ValueError:  # A `memoryview` of some Pythons has no format for them.
            raise TypeError(
                f"column {field.name!r} is of type {self.type}: use `to_pylist()`"
            ) from None

    def to_pylist(self):
        """Returns all values."""
        return [value for chunk in self._chunks for value in self._decode(chunk)]

    def to_numpy(self):
        """Returns all values as a numpy array; the stage's environment needs `numpy`.

        Integers and floating-point numbers in one piece without nulls are a read-only view; with
        nulls, they are floating-point numbers with NaN. Timestamps and durations are numpy's, in
        UTC and with NaT. Other values are Python's, and so are booleans with nulls.
        """
        return to_numpy(self._field, self._chunks, self.to_pylist)

    def slice(self, offset=0, length=None):
        """Returns some of the rows, without a copy. Rows past the end are left out."""
        offset, length = _rows(offset, length)
        end = self._length if length is None else min(self._length, offset + max(length, 0))
        pieces, at = [], 0
        for chunk in self._chunks:
            first, last = max(offset - at, 0), min(end - at, chunk.length)
            if first < last:
                pieces.append(chunk.slice(first, last - first))
            at += chunk.length
        if not pieces:
            pieces = [chunk.slice(0, 0) for chunk in self._chunks[:1]]
        return Column(self._field, pieces)

    def _decode(self, chunk, first=0, length=None):
        field, kind = self._field, unreadable(self._field)
        if kind is not None:
            inner = "which" if kind == self.type else f"whose {kind}"
            raise TypeError(
                f"column {field.name!r} is of type {self.type}, {inner} only pyarrow reads:"
                f" {WAY_OUT}"
            )
        try:
            return decode(chunk if length is None else chunk.slice(first, length))
        except (ValueError, ArithmeticError) as error:
            raise ValueError(f"column {field.name!r}, {self.type}: {error}") from None

    def _renamed(self, name):
        return Column(self._field._replace(name=name), self._chunks)

    def __len__(self):
        return self._length

    def __getitem__(self, at):
        if isinstance(at, slice):
            first, last, step = at.indices(self._length)
            if step != 1:
                raise ValueError("a slice of a column has no step: `to_pylist()` gives a list")
            return self.slice(first, max(last - first, 0))
        at = index(at)  # numpy's integers would overflow their few bits.
        if not -self._length <= at < self._length:
            raise IndexError(f"row {at} of {self._length} in column {self._field.name!r}")
        at %= self._length
        for chunk in self._chunks:
            if at < chunk.length:
                return self._decode(chunk, at, 1)[0]
            at -= chunk.length
        raise IndexError(at)

    def __iter__(self):
        for chunk in self._chunks:
            yield from self._decode(chunk)

    def __eq__(self, other):
        if not isinstance(other, Column):
            return NotImplemented
        return self.type == other.type and self.to_pylist() == other.to_pylist()

    __hash__ = None

    def __repr__(self):
        return f"<Column {self._field.name!r}: {self.type}, {self._length} rows>"


def _bytes_of(chunk):
    own = sum(len(buffer) for buffer in chunk.buffers if buffer is not None)
    return own + sum(map(_bytes_of, chunk.children))


class Table:
    """Columns of one length, with names. It never changes."""

    __slots__ = ("_columns", "_lengths", "_metadata")

    def __init__(self, columns=(), lengths=(), metadata=()):
        if isinstance(columns, dict):
            raise TypeError("of a dict, `Table.from_pydict` makes a table")
        self._columns = tuple(columns)
        self._lengths = tuple(lengths)  # of the batches that the rows came in
        self._metadata = metadata

    @classmethod
    def from_stream(cls, data):
        """Returns the table in an Arrow IPC stream, over the same memory."""
        # Views of a `memoryview` do not keep it from being released, as those of an object do.
        view = memoryview(PickleBuffer(data)).cast("B").toreadonly()
        try:
            read = Reader(view)
        except (struct.error, UnicodeDecodeError) as error:
            raise ValueError(f"no Arrow stream: {error}") from None
        pieces = zip(*(chunks for _, chunks in read.batches)) if read.batches else ()
        pieces = list(pieces) or [()] * len(read.fields)
        columns = map(Column, read.fields, pieces)
        return cls(columns, [length for length, _ in read.batches], read.metadata)

    @classmethod
    def from_pydict(cls, columns):
        """Creates a table of columns by name.

        They are sequences of Python values, `None` for null; arrays of numbers (`array.array`,
        `memoryview`, numpy), which keep their type; or columns of other tables.
        """
        columns = [_made(name, values) for name, values in columns.items()]
        lengths = [chunk.length for chunk in columns[0]._chunks] if columns else ()
        return cls((), lengths)._with(columns)

    @classmethod
    def from_pylist(cls, rows):
        """Creates a table of rows, each a dict. A missing value of a row is null."""
        rows = list(rows)
        names = dict.fromkeys(chain.from_iterable(rows))
        table = cls.from_pydict({name: [row.get(name) for row in rows] for name in names})
        return table if names else cls((), [len(rows)])

    @property
    def column_names(self):
        return [column._field.name for column in self._columns]

    @property
    def columns(self):
        return list(self._columns)

    @property
    def num_rows(self):
        return sum(self._lengths)

    @property
    def num_columns(self):
        return len(self._columns)

    @property
    def shape(self):
        return self.num_rows, self.num_columns

    @property
    def nbytes(self):
        """Returns its columns' memory in bytes, without their dictionaries."""
        return sum(column.nbytes for column in self._columns)

    def column(self, key):
        """Returns the column of that name or number."""
        return self._columns[self._find(key)]

    def select(self, keys):
        """Returns a table of only these columns, in this order."""
        return self._with([self.column(key) for key in keys])

    def drop_columns(self, keys):
        """Returns a table of all other columns."""
        gone = set(map(self._find, [keys] if isinstance(keys, str) else keys))
        return self._with([column for at, column in enumerate(self._columns) if at not in gone])

    def append_column(self, name, values):
        """Returns a table with one more column at the end, of the values that `from_pydict`
        takes."""
        return self.add_column(self.num_columns, name, values)

    def add_column(self, i, name, values):
        """Returns a table with one more column at this place."""
        if not 0 <= i <= self.num_columns:
            raise IndexError(f"no place {i} for another column among {self.num_columns}")
        return self._with([*self._columns[:i], _made(name, values), *self._columns[i:]])

    def set_column(self, i, name, values):
        """Returns a table with another column at this place."""
        i = self._find(i)
        return self._with([*self._columns[:i], _made(name, values), *self._columns[i + 1 :]])

    def rename_columns(self, names):
        """Returns a table with other names: a list of all, or a dict of new ones by old ones."""
        if isinstance(names, dict):
            for name in names:
                self._find(name)
            names = [names.get(name, name) for name in self.column_names]
        if len(names) != self.num_columns:
            raise ValueError(f"{len(names)} names for {self.num_columns} columns")
        return self._with([column._renamed(name) for column, name in zip(self._columns, names)])

    def slice(self, offset=0, length=None):
        """Returns some of the rows, without a copy. Rows past the end are left out."""
        offset, length = _rows(offset, length)
        rows = max(self.num_rows - offset, 0)
        rows = rows if length is None else min(rows, max(length, 0))
        columns = [column.slice(offset, length) for column in self._columns]
        return Table(columns, [rows], self._metadata)

    def to_pydict(self):
        """Returns the columns by name, as lists of Python values."""
        return {column._field.name: column.to_pylist() for column in self._columns}

    def to_pylist(self):
        """Returns the rows, as dicts."""
        if not self._columns:
            return [{} for _ in range(self.num_rows)]
        names = self.column_names
        return [dict(zip(names, row)) for row in zip(*map(Column.to_pylist, self._columns))]

    def to_stream(self):
        """An Arrow IPC stream of the table, whose size is known before it is written."""
        lengths, columns = self._lengths, self._columns
        cuts = [[chunk.length for chunk in column._chunks] for column in columns]
        pieces = [column._chunks for column in columns]
        if any(cut != list(lengths) for cut in cuts):
            # All columns are cut at the same places.
            ends = sorted(set(chain.from_iterable(map(accumulate, cuts))) - {0})
            lengths = [end - start for start, end in zip([0, *ends], ends)]
            pieces = [_cut_at(column, lengths) for column in columns]
        batches = zip(lengths, zip(*pieces) if pieces else ((),) * len(lengths))
        return Stream([column._field for column in columns], self._metadata, batches)

    def _with(self, columns):
        rows = self.num_rows
        for column in columns:
            if len(column) != rows:
                name = column._field.name
                raise ValueError(f"column {name!r} has {len(column)} rows, and the table {rows}")
        return Table(columns, self._lengths, self._metadata)

    def _find(self, key):
        if isinstance(key, str):
            found = [at for at, name in enumerate(self.column_names) if name == key]
            if len(found) != 1:
                have = ", ".join(map(repr, self.column_names)) or "no columns"
                many = f"{len(found)} columns" if found else "no column"
                raise KeyError(f"{many} {key!r}: the table has {have}")
            return found[0]
        if not -self.num_columns <= key < self.num_columns:
            raise IndexError(f"column {key} of {self.num_columns}")
        return key % self.num_columns

    def __getitem__(self, key):
        if isinstance(key, slice):
            first, last, step = key.indices(self.num_rows)
            if step != 1:
                raise ValueError("a slice of a table has no step")
            return self.slice(first, max(last - first, 0))
        return self.column(key)

    def __len__(self):
        return self.num_rows

    def __eq__(self, other):
        if not isinstance(other, Table):
            return NotImplemented
        names = (self.column_names, self.num_rows), (other.column_names, other.num_rows)
        return names[0] == names[1] and self._columns == other._columns

    __hash__ = None

    def __reduce__(self):
        stream = self.to_stream()
        data = bytearray(stream.size())
        stream.write_into(data)
        return Table.from_stream, (bytes(data),)

    def __repr__(self):
        columns = [f"\n  {column._field.name}: {column.type}" for column in self._columns]
        return f"<Table of {self.num_rows} rows{':' if columns else ''}{''.join(columns)}>"


def _cut_at(column, lengths):
    """Returns a column's chunks, cut into pieces of these lengths."""
    chunks, at, pieces = iter(column._chunks), 0, []
    chunk = next(chunks, None)
    for length in lengths:
        while at == chunk.length:
            chunk, at = next(chunks), 0
        pieces.append(chunk.slice(at, length))
        at += length
    return pieces


def _rows(offset, length):
    """Returns the bounds of a slice, as integers of Python's."""
    offset, length = index(offset), None if length is None else index(length)
    if offset < 0:
        raise IndexError("the offset of a slice is negative")
    return offset, length


def _made(name, values):
    if not isinstance(name, str):
        raise TypeError(f"the name of a column is text, and not {type(name).__name__}")
    check_name(name, "a column")
    if isinstance(values, Column):
        return values._renamed(name)
    chunk = encode(name, values)
    return Column(chunk.field, [chunk])
