"""What JSON says as it is, for workers and for the program that they work for.

Every worker imports this file, so it imports next to nothing.
"""

import sys
from itertools import chain

__all__ = ["PLAIN", "has_text_keys", "of_any_size", "without_limit", "writer"]

# What JSON has a form for: of which nothing has to be looked into, and all of it.
PLAIN = frozenset((str, int, float, bool, type(None)))
_KNOWN = (dict, list, tuple, str, int, float, type(None))


def has_text_keys(value):
    """Whether all keys in a value are text. JSON's encoder takes numbers and None for keys, too,
    and makes text of them, so that they come out as others, or two as one. It has seen the value
    before: there is no circle in it."""
    if type(value) is dict:
        # Most are flat.
        try:
            "".join(value)
        except TypeError:
            return False
        if PLAIN.issuperset(map(type, value.values())):
            return True
    level = (value,)
    while level:
        keyed = [holder for holder in level if isinstance(holder, dict)]
        listed = [holder.values() for holder in keyed]
        if len(keyed) < len(level):
            listed += [holder for holder in level if isinstance(holder, (list, tuple))]
            others = [holder for holder in level if not isinstance(holder, _KNOWN)]
            listed.append([_stand_in(holder) for holder in others])
        try:
            "".join(chain.from_iterable(keyed))
        except TypeError:
            return False
        # A level at a time, so that the loops over what is plain are not Python's.
        if PLAIN.issuperset(map(type, chain.from_iterable(listed))):
            return True
        level = [item for item in chain.from_iterable(listed) if type(item) not in PLAIN]
    return True


def _stand_in(value):
    from curator_json import stand_in

    return stand_in(value)


def writer(json, is_ascii, stand_in):
    """What writes a value as compact JSON.

    This is `JSONEncoder.encode` with the encoder in C made once, and not for each value, where this
    Python has one that is made in the known way.
    """
    form = {"allow_nan": False, "separators": (",", ":"), "default": stand_in}
    # `check_circular` stays on: a value that contains itself must be an error, not a crash.
    encode = json.JSONEncoder(ensure_ascii=is_ascii, **form).encode
    encoder, around = json.encoder, {}
    text = encoder.encode_basestring_ascii if is_ascii else encoder.encode_basestring
    try:
        chunks = encoder.c_make_encoder(around, stand_in, text, None, ":", ",", False, False, False)
        "".join(chunks({"a": [1.5, None]}, 0))
    except (AttributeError, TypeError):
        return encode
    join = "".join

    def write(value):
        try:
            return join(chunks(value, 0))
        except BaseException:
            around.clear()  # What was open is not around the next value.
            raise

    return write


def of_any_size(function, *arguments):
    """Calls what reads or writes JSON. Python refuses integers of more than some thousand digits,
    to be safe from strangers' texts; what goes through here is a task's own data."""
    try:
        return function(*arguments)
    except ValueError:
        return without_limit(function, *arguments)


def without_limit(function, *arguments):
    """Calls what has failed with a `ValueError` again, where integers may have any size. What was
    wrong with something else fails again."""
    if not hasattr(sys, "set_int_max_str_digits"):
        return function(*arguments)
    most = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(0)
    try:
        return function(*arguments)
    finally:
        sys.set_int_max_str_digits(most)
