"""What becomes of a Python value that JSON has no form for.

Workers import this file when the first such value comes: of what JSON has a form for, nothing is
looked at here. The table for the authors of stages is in `docs/pipeline-files.md`, "What a stage
may return": a value either has one meaning in JSON, or is refused with its place and the way out.
"""

import datetime
import enum
import os
import sys

__all__ = [
    "check_labels",
    "find_answer",
    "find_refused",
    "in_forms_of_json",
    "joins_halves",
    "stand_in",
]

_DEEPEST = 200


def stand_in(value):
    """What JSON has for a value that its encoder does not know; raises `TypeError` if nothing."""
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, type):
        raise TypeError("a class is no value")
    kind = type(value)
    if isinstance(value, (datetime.date, datetime.time)):
        # `NaT` is of such a class, and no time.
        if value == value:
            return value.isoformat()
    elif isinstance(value, os.PathLike):
        text = os.fspath(value)
        if isinstance(text, str):
            return text
    elif _is_of(value, "uuid", "UUID"):
        return str(value)
    elif _is_of(value, "numpy", "generic", "ndarray"):
        return _of_numpy(value)
    elif hasattr(kind, "__dataclass_fields__"):
        return {name: getattr(value, name) for name in _fields(kind)}
    raise TypeError(f"{_name(kind)} has no form in JSON")


def in_forms_of_json(value):
    """A value that JSON cannot hold as a whole, with all in it that it has a form for in that form:
    what a part of it becomes does not depend on what stands beside it. What has none stays."""
    made = {}
    try:
        return _in_form(value, made)
    except RecursionError:
        return value


def _in_form(value, made):
    if value is None or isinstance(value, bool):
        return value
    # Of subclasses the encoder writes what they are at the bottom.
    for kind, plain in ((str, str.__str__), (int, int.__int__), (float, float.__float__)):
        if isinstance(value, kind):
            return plain(value)
    if id(value) in made:
        return made[id(value)][1]
    if isinstance(value, dict):
        form = {}
        # With the value, so that its number is not another one's meanwhile.
        made[id(value)] = (value, form)
        form.update((key, _in_form(item, made)) for key, item in value.items())
        return form
    if isinstance(value, (list, tuple)):
        form = []
        made[id(value)] = (value, form)
        form.extend(_in_form(item, made) for item in value)
        return form
    try:
        form = _in_form(stand_in(value), made)
    except TypeError:
        form = value
    made[id(value)] = (value, form)
    return form


def _is_of(value, module, *names):
    """Whether a value is of one of these classes, without importing their modules."""
    module = sys.modules.get(module)
    classes = [getattr(module, name, None) for name in names]
    return any(isinstance(value, kind) for kind in classes if isinstance(kind, type))


def _of_numpy(value):
    kind = value.dtype.kind
    # An array of no dimensions is the one value that it holds; but other kinds of arrays may add a
    # mask or a unit to it.
    is_plain = type(value) is sys.modules["numpy"].ndarray or _is_of(value, "numpy", "generic")
    is_one = is_plain and value.shape == ()
    if is_one and kind in "biufUO":
        item = value.item()
        # `longdouble` has digits that no number of Python's has, and gives itself.
        if type(item) is not type(value):
            return item
    if is_one and kind == "M" and value == value:
        # `item()` gives a number where the unit is finer than a microsecond.
        return str(value)
    raise TypeError(f"{_name(type(value))} has no form in JSON")


def _fields(kind):
    import dataclasses

    return [field.name for field in dataclasses.fields(kind)]


def _name(kind):
    return f"{kind.__module__}.{kind.__qualname__}"


def find_refused(value, path):
    """Where in a value the first thing stands that is refused, why, and the way out; else None.

    `path` is what the value is: "data", which may hold halves of surrogate pairs, or another part
    of a task, which may not.
    """
    return _find(value, path, (), path == "data")


def _find(value, path, around, takes_halves):
    if value is None or isinstance(value, bool):
        return None
    if any(value is holder for holder in around):
        return f"{path} contains itself, and JSON has no end of it then: leave that reference out"
    if len(around) == _DEEPEST:
        return f"{path} is more than {_DEEPEST} levels deep: make it flatter, or send it as bytes"
    if isinstance(value, int):
        return None
    if isinstance(value, float):
        if value != value or value in (float("inf"), float("-inf")):
            return f"{path} is {float(value)}, which JSON cannot hold (use None)"
        return None
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            if takes_halves:
                return _find_joined(value, path)
            return (
                f"{path} holds half of a surrogate pair, which is no text: decode it with"
                " errors='replace', or leave it out"
            )
        return None
    around = (*around, value)
    if isinstance(value, dict):
        return _find_in_dict(value, path, around, takes_halves)
    if isinstance(value, (list, tuple)):
        for at, item in enumerate(value):
            found = _find(item, f"{path}[{at}]", around, takes_halves)
            if found:
                return found
        return None
    try:
        other = stand_in(value)
    except TypeError:
        return f"{path} is {_described(value)}, not JSON or bytes: {_way_out(value)}"
    except Exception as error:
        why = f"{type(error).__name__}: {_text_of(error)}"
        return f"{path} is {_described(value)}, whose value cannot be read ({why})"
    if isinstance(other, dict) and hasattr(type(value), "__dataclass_fields__"):
        for name, item in other.items():
            found = _find(item, f"{path}.{name}", around, takes_halves)
            if found:
                return found
        return None
    return _find(other, path, around, takes_halves)


def find_answer(value):
    """Says where in data an answer of a stage stands, a task or an aggregate: pickled as a value,
    it would not be taken for what it is."""
    stage = sys.modules.get("curator_stage")
    answers = (stage.Task, stage.Aggregate)
    left, seen = [("data", value)], set()
    while left:
        path, found = left.pop()
        if isinstance(found, answers):
            several = "; several tasks are a list" if isinstance(value, tuple) else ""
            return f"{path} is {_described(found)}: {_way_out(found)}{several}"
        if id(found) in seen or not isinstance(found, _HOLDERS):
            continue
        seen.add(id(found))
        items = found.values() if isinstance(found, dict) else found
        # Most items are plain, and as many as there are.
        kinds = {kind for kind in set(map(type, items)) if issubclass(kind, _HOLDERS + answers)}
        if kinds:
            places = found.items() if isinstance(found, dict) else enumerate(found)
            left += [(f"{path}[{_short(at)}]", it) for at, it in places if type(it) in kinds]
    return None


_HOLDERS = (dict, list, tuple, set, frozenset)


def check_labels(metadata, dataset):
    """Refuses what cannot be the metadata of a task, or the name of its dataset."""
    if not isinstance(metadata, dict):
        kind = type(metadata).__name__
        raise TypeError(f"metadata must be a dict, not {kind}: use {{}} where there is none")
    if not isinstance(dataset, str):
        kind = type(dataset).__name__
        raise TypeError(f"dataset_name must be text, not {kind}: use '' where there is none")


def joins_halves(text):
    """Returns whether the two halves of a surrogate pair stand side by side, as two characters:
    their escapes are those of one character, which every reader of JSON makes of them."""
    import re

    return re.search("[\ud800-\udbff][\udc00-\udfff]", text) is not None


def _find_joined(text, path):
    if not joins_halves(text):
        return None
    return (
        f"{path} holds two halves of a surrogate pair, which JSON makes one character of: join them"
        " (`text.encode('utf-16', 'surrogatepass').decode('utf-16')`)"
    )


def _find_in_dict(value, path, around, takes_halves):
    for key, item in value.items():
        if not isinstance(key, str):
            return (
                f"{path} has the key {_short(key)}, and keys must be text: JSON would have made it"
                " another one, so say which (`str(key)`), or give a list of pairs"
            )
        found = _find(key, f"the key {_short(key)} of {path}", around, takes_halves)
        found = found or _find(item, f"{path}[{_short(key)}]", around, takes_halves)
        if found:
            return found
    return None


def _text_of(error):
    try:
        return str(error)
    except Exception:
        return "no text"


def _short(value):
    try:
        text = repr(value)
    except Exception as error:
        return f"({type(value).__name__}, whose text failed with {type(error).__name__})"
    return text if len(text) <= 80 else f"{text[:80]}…"


def _described(value):
    """What it is: `a builtins.set`, or its text where that is short and says more."""
    if isinstance(value, type):
        return f"the class {_name(value)}"
    name = _name(type(value))
    article = "an" if name[0] in "aeiouAEIOU" else "a"
    return f"{article} {name}"


def _way_out(value):
    """How its author makes of it what can be sent."""
    if isinstance(value, type):
        return "return an instance of it, or its name"
    if isinstance(value, (bytes, bytearray, memoryview)):
        return (
            "bytes are the whole of a task's data, or text within it"
            " (`base64.b64encode(value).decode()`)"
        )
    if isinstance(value, (set, frozenset)):
        return "a set has no order: use `sorted(value)` or `list(value)`"
    if isinstance(value, complex):
        return "use `[value.real, value.imag]`"
    if isinstance(value, datetime.timedelta):
        return "use `value.total_seconds()`"
    if isinstance(value, (datetime.date, datetime.time)) or value is _missing():
        return "where a value is missing, use None"
    if _is_of(value, "decimal", "Decimal") or _is_of(value, "fractions", "Fraction"):
        return "use `str(value)` to keep its digits, or `float(value)`"
    if _is_of(value, "numpy", "ndarray"):
        return "use `value.tolist()`, `value.tobytes()`, or a table"
    if _is_of(value, "numpy", "generic"):
        return _way_out_of_numpy(value)
    if _is_of(value, "curator_stage", "Aggregate"):
        return "`process_batch` returns it as the whole of its answer"
    if _is_of(value, "curator_stage", "Task"):
        return "a task is an output of its own, and no part of data"
    for method in ("model_dump", "tolist", "to_list", "to_pylist", "to_dict"):
        if callable(getattr(type(value), method, None)):
            return f"use `value.{method}()`"
    if hasattr(type(value), "__attrs_attrs__"):
        return "use `attrs.asdict(value)`"
    if hasattr(type(value), "__await__"):
        return "await it, in an `async def`"
    if hasattr(type(value), "keys") and hasattr(type(value), "__getitem__"):
        return "use `dict(value)`"
    if hasattr(type(value), "__iter__"):
        return "use `list(value)`"
    if hasattr(value, "__dict__"):
        return "make a dict of what you need of it"
    return "make text, a number or a dict of it"


def _way_out_of_numpy(value):
    kind = value.dtype.kind
    if kind == "c":
        return "use `[value.real, value.imag]`"
    if kind == "f":
        return "use `float(value)`, which has fewer digits, or `str(value)`"
    if kind == "m":
        return "use `value / numpy.timedelta64(1, 's')`"
    if kind == "M":
        return "where a value is missing, use None"
    return "use `value.item()`, and make of that what can be sent"


def _missing():
    """The `NA` of pandas, where that is imported."""
    return getattr(sys.modules.get("pandas"), "NA", None)
