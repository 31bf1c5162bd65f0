"""Frames of NeMo Curator's tasks on their way between processes.

A frame travels as an Arrow stream, which every version of pandas can read: a pickle of one version
is no frame of another. Arrow and pandas make another thing of some types; columns of those travel
beside the stream, and a frame with such an index stays in its pickled form.
"""

import importlib
import pickle
from typing import Any, Optional

from curator._table import from_ipc, stream_of

__all__ = ["pack", "unpack"]


def _untyped(name: str) -> Any:
    """A module that comes without types."""
    return importlib.import_module(name)


def pack(data: Any) -> Optional[dict[str, Any]]:
    """The Arrow stream of a frame or table; None where its pickle has to do."""
    kind: Any = type(data)
    module, _, _ = kind.__module__.partition(".")
    if module not in ("pandas", "pyarrow") or kind.__name__ not in ("DataFrame", "Table"):
        return None
    pyarrow = _untyped("pyarrow")
    if module == "pyarrow":
        return {"kind": "table", "stream": _stream_of(data)}
    if not _is_plain(data):
        return None
    # Objects of any type, of which Arrow would make others: lists come back as arrays.
    objects: dict[int, list[Any]] = {}
    # Columns of Arrow's own types, of which pandas would make others.
    arrow: dict[int, Any] = {}
    for place, dtype in enumerate(data.dtypes):
        if str(dtype) == "object":
            objects[place] = list(data.iloc[:, place])
        elif type(dtype).__name__ == "ArrowDtype":
            arrow[place] = pyarrow.chunked_array(data.iloc[:, place].array.__arrow_array__())
        elif not _is_kept(data.iloc[:, place]):
            return None
    frame = data.drop(columns=[data.columns[place] for place in (*objects, *arrow)])
    try:
        table = pyarrow.Table.from_pandas(frame)
        for place, column in arrow.items():
            table = table.append_column(f"\0{place}", column)
        stream = _stream_of(table)
    except (pyarrow.ArrowException, TypeError, ValueError, OverflowError):
        return None
    zones = {name: _fixed_zone(kind) for name, kind in frame.dtypes.items()}
    strings = {name: kind.storage for name, kind in frame.dtypes.items() if _is_string(kind)}
    return {
        "kind": "frame",
        "stream": stream,
        "objects": objects,
        "arrow": list(arrow),
        "strings": strings,
        "zones": {name: zone for name, zone in zones.items() if zone is not None},
        "names": list(data.columns),
    }


def _stream_of(table: Any) -> pickle.PickleBuffer:
    return pickle.PickleBuffer(stream_of(table))


def unpack(packed: dict[str, Any]) -> Any:
    """What `pack` had."""
    table = from_ipc(packed["stream"])
    if packed["kind"] == "table":
        return table
    pandas = _untyped("pandas")
    beside: dict[int, Any] = {place: table.column(f"\0{place}") for place in packed["arrow"]}
    frame = table.drop_columns([f"\0{place}" for place in beside]).to_pandas()
    for name, dtype in list(frame.dtypes.items()):
        if str(dtype) == "category":
            # Its codes are the stream's own memory, which cannot be written to.
            frame[name] = frame[name].copy()
        elif str(dtype) == "string" and dtype.storage != packed["strings"].get(name):
            frame[name] = frame[name].astype(f"string[{packed['strings'][name]}]")
    for name, zone in packed["zones"].items():
        frame[name] = frame[name].dt.tz_convert(zone)
    beside.update(packed["objects"])
    for place in sorted(beside):
        values = beside[place]
        if place in packed["objects"]:
            column = pandas.Series(values, index=frame.index, dtype=object)
        elif hasattr(pandas, "ArrowDtype"):
            column = pandas.Series(pandas.arrays.ArrowExtensionArray(values), index=frame.index)
        else:
            column = pandas.Series(values.to_pandas().array, index=frame.index)
        frame.insert(place, packed["names"][place], column)
    return frame


def _is_plain(frame: Any) -> bool:
    """Whether what a frame has beside its columns comes back as it is."""
    names = frame.columns
    return bool(
        not frame.attrs
        and frame.flags.allows_duplicate_labels
        and type(names).__name__ == "Index"
        and names.name is None
        and names.is_unique
        and str(names.dtype) == _text_of(_untyped("pandas"))
        and all(isinstance(name, str) and name[:1] != "\0" for name in names)
        and _is_plain_index(frame.index)
    )


def _is_plain_index(index: Any) -> bool:
    name = index.name
    # Names that begin so are Arrow's own for what has none.
    if name is not None and (not isinstance(name, str) or not name or name[:8] == "__index_"):
        return False
    kind = type(index).__name__
    if kind == "RangeIndex":
        return True
    if kind == "DatetimeIndex":
        return index.freq is None and _is_kept(index) and _fixed_zone(index.dtype) is None
    return kind in ("Index", "Int64Index", "UInt64Index", "Float64Index") and (
        str(index.dtype) in ("int64", "uint64", "float64", "bool", "str")
    )


def _text_of(pandas: Any) -> str:
    """The type that pandas gives to texts, which depends on its version."""
    return str(pandas.Index(["a"]).dtype)


def _fixed_zone(dtype: Any) -> Any:
    """A time zone of Python's own module `datetime`, in whose place pandas has another one."""
    zone: Any = getattr(dtype, "tz", None)
    return zone if type(zone).__module__ == "datetime" else None


def _is_string(dtype: Any) -> bool:
    return str(dtype) == "string" and hasattr(dtype, "storage")


def _is_kept(values: Any) -> bool:
    """Whether the values of a column, or of an index or categories, come back as they are."""
    dtype: Any = values.dtype
    kind = str(dtype)
    if getattr(dtype, "kind", "") in "biuf" and type(dtype).__module__.startswith("numpy"):
        return kind not in ("float16", "float128", "longdouble")
    if kind == "str":
        return str(dtype.storage) == "pyarrow"
    if kind in ("string", "boolean") or kind.lower() in _MASKED:
        return True
    if kind in ("Float32", "Float64"):
        # Arrow has NaN, and pandas takes it for what is missing.
        there = values.to_numpy(dtype="float64", na_value=0.0)
        return bool((there == there).all())
    if kind.startswith(("datetime64[", "timedelta64[")):
        zone: Any = getattr(dtype, "tz", None)
        return zone is None or type(zone).__module__.partition(".")[0] in (
            "datetime",
            "pytz",
            "zoneinfo",
        )
    if kind == "category":
        categories = dtype.categories
        return type(categories).__name__ == "Index" and (
            str(categories.dtype) in ("int64", "float64", "bool", "str")
            or (
                str(categories.dtype) == "object" == _text_of(_untyped("pandas"))
                and all(type(it) is str for it in categories)
            )
        )
    return False


_MASKED = frozenset(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64))
