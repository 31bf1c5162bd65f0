"""Frames of pandas as tables of Arrow, refused where Arrow would hold something else.

`pyarrow` makes one type of each column of objects, and fits into it what it can: the time of day is
cut from a datetime among dates, and a set becomes a list. The workers and the package use this.
"""

import datetime
from decimal import Decimal
from itertools import chain

__all__ = ["table_of"]


def table_of(frame):
    """The `pyarrow.Table` of a frame; raises TypeError where it would not be what the frame is."""
    import pyarrow

    _check_names(frame.columns)
    table = pyarrow.Table.from_pandas(frame)
    for at, name in enumerate(frame.columns):
        _check(frame.iloc[:, at], table.column(at), f"column {name!r}")
    # An index has no column where numbers describe it.
    kept = [name for name in table.schema.pandas_metadata["index_columns"] if type(name) is str]
    if len(kept) == frame.index.nlevels:
        for level, name in enumerate(kept):
            _check(frame.index.get_level_values(level), table.column(name), "the index")
    return table


def _check_names(columns):
    """Refuses names of a frame's columns that would come out as others: `pyarrow` makes text of
    all, and has pandas make again what they were only where they are of one type."""
    kinds = {str if isinstance(name, str) else type(name) for name in columns}
    if columns.nlevels == 1 and (len(kinds) > 1 or bool in kinds):
        names = ", ".join(map(repr, columns[:5]))
        raise TypeError(
            f"the columns of the DataFrame are named {names}, and names that are not all text cross"
            " only if they are of one type: `frame.rename(columns=str)`"
        )


def _check(values, column, where):
    """Refuses cells of a column that Arrow holds as others."""
    if hasattr(values.dtype, "categories"):
        import pyarrow

        values = values.dtype.categories
        if values.dtype != object:
            return
        column = pyarrow.array(values, from_pandas=True)
        where = f"the categories of {where}"
    if values.dtype != object:
        return
    from pandas.api.types import infer_dtype

    # Most columns of objects are of text, and pandas sees that at once, but for what is missing.
    if infer_dtype(values, skipna=False) == "string":
        return
    is_text = infer_dtype(values, skipna=True) == "string"
    cells = list(values[values.isna()] if is_text else values)
    if _is_plain(cells, column.type):
        return
    cells = list(values)
    for row, (cell, held) in enumerate(zip(cells, column.to_pylist())):
        found = _difference(cell, held)
        if found:
            cell, held, way_out = found
            raise TypeError(
                f"{where}, row {row} of the DataFrame has {_short(cell)} (a {type(cell).__name__}),"
                f" which Arrow would have as {_short(held)}: {way_out}"
            )


def _is_plain(cells, form):
    """Whether the types of the cells alone say that Arrow holds them as they are."""
    import numpy
    from pandas import NA
    from pyarrow import types

    kinds = set(map(type, cells)) - {type(None), type(NA)}
    if types.is_list(form) or types.is_large_list(form):
        if kinds == {numpy.ndarray}:
            return all(it.ndim == 1 and it.dtype.kind in "biuf" for it in _there(cells))
        inner = chain.from_iterable
        return kinds <= {list, tuple} and _is_plain(list(inner(_there(cells))), form.value_type)
    if types.is_struct(form):
        if kinds != {dict} or not set(map(type, chain.from_iterable(_there(cells)))) <= {str}:
            return False
        fields = [form.field(at) for at in range(form.num_fields)]
        if any(len(cell) != len(fields) for cell in _there(cells)):
            return False  # Arrow gives each dict the keys of all.
        return all(
            _is_plain([cell.get(field.name) for cell in _there(cells)], field.type)
            for field in fields
        )
    if types.is_timestamp(form):
        return kinds <= {datetime.datetime} and all(it.tzinfo is None for it in _there(cells))
    if types.is_string(form) or types.is_large_string(form):
        # A float among texts can only be a NaN, which stands for what is missing.
        return kinds <= {str, float}
    for is_of, plain in (
        (types.is_binary, {bytes, float}),
        (types.is_boolean, {bool}),
        (types.is_int64, {int}),
        (types.is_float64, {float}),
        (types.is_date32, {datetime.date}),
        (types.is_null, set()),
    ):
        if is_of(form):
            return kinds <= plain
    return False


def _there(cells):
    """Those of the cells that are no missing values."""
    from pandas import NA

    return (cell for cell in cells if cell is not None and cell is not NA)


def _difference(cell, held):
    """The innermost part of a cell that Arrow holds as another value, with that and the way out;
    None if there is none."""
    cell = _in_python(cell)
    if held is None:
        is_missing = cell is None or (isinstance(cell, float) and cell != cell)
        return None if is_missing else (cell, held, "where a value is missing, use None")
    if isinstance(held, list):
        if not isinstance(cell, (list, tuple)):
            return cell, held, "use a list; a set has no order, so use `sorted(value)`"
        return _first(map(_difference, cell, held)) or _unless(len(cell) == len(held), cell, held)
    if isinstance(held, dict):
        if not isinstance(cell, dict):
            return cell, held, "use a dict"
        odd = [key for key in cell if not isinstance(key, str)]
        if odd:
            return odd[0], str(held), "the keys of a dict must be text"
        if len(cell) < len(held):
            return cell, held, "have the same keys in all dicts of the column, or JSON as text"
        return _first(_difference(cell.get(key), value) for key, value in held.items())
    way_out = _ONE_TYPE
    if isinstance(held, datetime.datetime):
        is_same = isinstance(cell, datetime.datetime) and _moment(cell) == _moment(held)
        way_out = (
            "have datetimes of one time zone, or all without one, in the whole column, and"
            " nanoseconds in a column of the type `datetime64[ns]` (`pandas.to_datetime`)"
        )
    elif isinstance(held, datetime.timedelta):
        is_same = isinstance(cell, datetime.timedelta) and _length(cell) == _length(held)
        way_out = "have nanoseconds in a column of the type `timedelta64[ns]`"
    elif isinstance(held, datetime.time):
        is_same = isinstance(cell, datetime.time) and cell.tzinfo is None and cell == held
        way_out = "Arrow has no time of day with a zone: use `value.isoformat()`"
    elif isinstance(held, (bytes, str)):
        binary = (bytes, bytearray, memoryview)
        is_same = isinstance(cell, str if isinstance(held, str) else binary) and cell == held
        way_out = "have text, or bytes, in the whole column"
    elif isinstance(held, (float, Decimal)):
        is_number = isinstance(cell, (int, float, Decimal)) and not isinstance(cell, bool)
        is_same = is_number and (cell == held or (cell != cell and held != held))
    else:
        # A bool is an int, and a datetime is a date.
        is_same = cell == held and (type(cell) is type(held) or type(held) not in _NARROW)
    return _unless(is_same, cell, held, way_out)


_ONE_TYPE = "have values of one type in the whole column"
_NARROW = (bool, int, datetime.date)


def _in_python(cell):
    """A value of numpy's or `pyarrow`'s as Python has it, and what pandas has for a missing one as
    None."""
    import numpy
    import pandas

    if cell is pandas.NA or cell is pandas.NaT:
        return None
    if isinstance(cell, numpy.datetime64) and cell.dtype != "datetime64[D]":
        return _in_python(pandas.Timestamp(cell))
    if isinstance(cell, numpy.timedelta64):
        return _in_python(pandas.Timedelta(cell))
    if isinstance(cell, (numpy.generic, numpy.ndarray)) or hasattr(cell, "__array__"):
        return cell.tolist() if hasattr(cell, "tolist") else cell
    return cell.as_py() if hasattr(cell, "as_py") else cell


def _moment(value):
    whole = value.timetuple()[:6]
    return whole, value.microsecond, getattr(value, "nanosecond", 0), value.utcoffset()


def _length(value):
    return value.days, value.seconds, value.microseconds, getattr(value, "nanoseconds", 0)


def _first(found):
    return next(filter(None, found), None)


def _unless(is_same, cell, held, way_out=_ONE_TYPE):
    return None if is_same else (cell, held, way_out)


def _short(value):
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:80]}…"
