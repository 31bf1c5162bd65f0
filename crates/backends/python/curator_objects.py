"""Values that only the program which runs a pipeline, and its workers, can read.

The loader of a stage that came from a Python process imports this file and hands it a pickler; in
all other workers it is never imported, and nothing is pickled. The engine carries what is made here
as bytes, and never looks into it.
"""

from curator_json import in_forms_of_json
from curator_stage import Task

__all__ = ["exception", "is_object", "pack", "unpack", "use"]

# How the bytes of such a value begin; a stage's own bytes that begin so are packed as well.
_MARK = b"\x93curator\0"
_LONGEST = 1 << 16

_dumps = _loads = _dumps_exception = None


def use(dumps, loads, dumps_exception):
    """From now on values are written and read so."""
    global _dumps, _loads, _dumps_exception
    _dumps, _loads, _dumps_exception = dumps, loads, dumps_exception


def is_object(data):
    """Whether bytes stand for another value."""
    return data[: len(_MARK)] == _MARK


def pack(value):
    """The bytes that stand for a value."""
    kind = type(value)
    if kind.__name__ == "Series" and kind.__module__.split(".")[0] in _FRAMES:
        raise TypeError(
            f"{kind.__module__}.Series is no table: return `series.to_frame()`, or"
            " `series.tolist()`"
        )
    if kind.__name__ == "DataFrame" and kind.__module__.split(".")[0] in _FRAMES:
        raise TypeError(
            f"{kind.__module__}.{kind.__name__} travels as an Arrow table, and that needs `pyarrow`"
            " in the stage's environment: add it, or return a dict of lists"
        )
    if not isinstance(value, Task):
        value = in_forms_of_json(value)
    return _MARK + _dumps(value)


# Pickled by one version of these, they cannot be read by another.
_FRAMES = frozenset(("pandas", "polars", "cudf", "modin"))


def unpack(data):
    """The value that bytes stand for."""
    try:
        return _loads(data[len(_MARK) :])
    except Exception as error:
        raise TypeError(
            "the data is an object that this stage's environment cannot read"
            f" ({type(error).__name__}: {error}): a package that it is of is missing here, or in"
            " another version; have the stage before return plain values, such as"
            " `array.tolist()`, or a table"
        ) from error


def exception(error):
    """An exception as text, for the program that the stage came from; None where that is not to
    be had."""
    pickled = _dumps_exception and _dumps_exception(error, _LONGEST)
    if pickled is None:
        return None
    import binascii

    return binascii.b2a_base64(pickled, newline=False).decode()
