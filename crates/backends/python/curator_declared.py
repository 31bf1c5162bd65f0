"""What the code of a stage declares about itself.

The plan of a run takes it in (`curator_classes.py`), and each worker tells it again of the stage
that it has: what differs from the plan would pass in silence else. Workers import this file when an
attribute of the stage has the name of a setting, or nearly so.
"""

import functools
import inspect
import json
import sys

from curator_json import find_refused, stand_in

__all__ = ["HOOKS", "SETTINGS", "called_by", "declared", "declarers", "form"]

# As in an entry of a pipeline file.
SETTINGS = (
    "name",
    "runtime_env",
    "batch_size",
    "resources",
    "num_workers",
    "num_workers_per_node",
    "inputs",
    "outputs",
    "task_timeout_seconds",
    "isolation",
    "max_attempts",
    "recycle_after_tasks",
    "preload",
    "ray_stage_spec",
    "xenna_stage_spec",
)
HOOKS = ("setup_on_node", "setup", "teardown")
_COUNTS = (
    "batch_size",
    "num_workers",
    "num_workers_per_node",
    "max_attempts",
    "recycle_after_tasks",
)
_ISOLATIONS = ("shared", "full")
# Names that methods for other purposes have, too.
_COMMON = ("name", "inputs", "outputs", "resources")
_AMOUNTS = ("cpus", "gpus", "gpu_memory_gb")
_LONGEST = 1 << 16


def declarers(stage):
    """The objects that may declare for a stage, the nearest first: its instance, what that calls or
    wraps, and the method that does the work."""
    yield from called_by(stage)
    for holder in (stage, *type(stage).__mro__):
        for name in ("process_batch", "process"):
            method = (getattr(holder, "__dict__", None) or {}).get(name)
            method = getattr(method, "__func__", method)
            if getattr(method, "__dict__", None):
                yield from called_by(method)


def called_by(function):
    """A function; then, in turn, the function that it calls with some arguments or that it wraps,
    or the object whose method it is."""
    seen = []
    while function is not None and all(function is not it for it in seen):
        yield function
        seen.append(function)
        if inspect.ismethod(function):
            function = function.__self__
        elif isinstance(function, functools.partial):
            function = function.func
        else:
            own = getattr(function, "__dict__", None)
            function = own.get("__wrapped__") if isinstance(own, dict) else None


def declared(stage, names, nearer=None):
    """What is declared, by setting, and the names that are nearly one, with the setting; before
    that comes what an object that is nearer to the stage declares.

    A value is `{"value": …}`, or `{"unread": "why"}`.
    """
    is_dynamic = "__getattr__" in names or inspect.isfunction(type(stage).__getattribute__)
    settings = {}
    for setting in SETTINGS:
        if setting in names:
            settings[setting] = _read(stage, setting)
        elif is_dynamic:
            # It may pass on another stage's declaration; other answers have no known meaning.
            found = _read(stage, setting)
            if isinstance(found and found.get("value"), (dict, list, int)):
                settings[setting] = found
    settings = {setting: found for setting, found in settings.items() if found is not None}
    near = []
    for name in sorted(names):
        setting = _nearest(name)
        if setting and setting not in settings and _has_shape(stage, name, setting):
            near.append([name, setting])
        hook = _nearest_hook(name)
        if hook and hook not in names and inspect.isfunction(_static(stage, name)):
            near.append([name, hook])
    if nearer:
        settings.update(nearer["settings"])
        near = nearer["near"] + [it for it in near if it not in nearer["near"]]
    return {"settings": settings, "near": near}


def _read(stage, setting):
    """One setting; None where nothing is declared."""
    try:
        if setting == "ray_stage_spec" and "nemo_curator.stages.base" in sys.modules:
            from curator_nemo import is_stage, spec

            if is_stage(stage):
                return form(setting, spec(stage))
        value = _value(stage, setting)
        if callable(value) and not isinstance(value, type):
            if setting == "preload":
                return None  # It loads something: a call would have effects.
            if not _is_free(value):
                if setting in _COMMON:
                    return None  # A method for another purpose.
                raise TypeError("it is called without arguments, and takes some")
            value = value()
        if inspect.iscoroutine(value):
            value.close()
        return form(setting, value)
    except BaseException as error:
        return {"unread": _told(setting, error)}


def _value(stage, setting):
    try:
        return getattr(stage, setting)
    except AttributeError:
        if inspect.ismemberdescriptor(inspect.getattr_static(type(stage), setting, None)):
            return None  # A slot that nothing is in.
        # A class may have from its metaclass what its instances have not.
        if not hasattr(type(stage), setting) or any(
            setting in vars(kind) for kind in type(stage).__mro__
        ):
            raise
        return getattr(type(stage), setting)


def form(setting, value):
    """A value as it is told; None where it declares nothing. Raises if it has no such form."""
    value = _plain(setting, value)
    if value is None:
        return None
    text = json.dumps(value, default=stand_in, allow_nan=False)
    if len(text) > _LONGEST:
        return {"unread": f"it has {len(text)} characters"}
    return {"value": json.loads(text)}


def _told(setting, error):
    try:
        text = f"{type(error).__name__}: {error}"
    except Exception:
        text = type(error).__name__
    return text.encode("utf-8", "backslashreplace").decode()[:1000]


def _is_free(function):
    """Whether it can be called without arguments."""
    try:
        inspect.signature(function).bind()
    except (TypeError, ValueError):
        return False
    return True


def _plain(setting, value):
    """The value in the form that a pipeline file has; raises if it has no such form."""
    if value is None:
        return None
    if setting == "name":
        return value if isinstance(value, str) and value.strip() else None
    if setting == "resources":
        value = _resources(value)
    elif setting in ("inputs", "outputs"):
        return _keys(value) or None
    elif setting == "preload":
        return _modules(value)
    elif setting == "runtime_env" and not isinstance(value, dict) and hasattr(value, "to_dict"):
        value = value.to_dict()
    elif setting in ("ray_stage_spec", "xenna_stage_spec"):
        value = value or None
    problem = value is not None and find_refused(value, setting)
    if problem:
        raise TypeError(problem)
    return value


def _resources(value):
    """The amounts, of whatever class they are; others only where they are more than nothing."""
    if isinstance(value, dict):
        return value
    if hasattr(value, "__dict__") and not isinstance(value, type):
        others = {name: other for name, other in vars(value).items() if name[0] != "_" and other}
        amounts = {name: getattr(value, name) for name in _AMOUNTS if hasattr(value, name)}
        if amounts.get("gpu_memory_gb") and type(value).__module__.startswith("nemo_curator."):
            # NeMo Curator's has turned it into a share of the GPU that it found.
            amounts.pop("gpus", None)
            others.pop("gpus", None)
        if amounts:
            return {**others, **amounts}
    raise TypeError(f"{value!r} names none of {', '.join(_AMOUNTS)}")


def _keys(value):
    """The keys of a task's data, in any of the forms that stages have for them."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict) and value and all(isinstance(key, type) for key in value):
        return None  # They depend on the class of a task.
    if isinstance(value, (set, frozenset)):
        value = sorted(value)
    if isinstance(value, (list, tuple)):
        if all(isinstance(key, str) for key in value):
            return list(value)
        # NeMo Curator's: attributes of the task, and keys of its data.
        if (
            len(value) == 2
            and all(isinstance(part, (list, tuple)) for part in value)
            and all(key is None or isinstance(key, str) for part in value for key in part)
        ):
            return [key for key in value[1] if key is not None]
    raise TypeError(f"{value!r} is no list of keys")


def _modules(value):
    """What `preload` names; None for a thing of the stage's own, as many have by that name."""
    if isinstance(value, (bool, str)):
        return value
    if not isinstance(value, (list, tuple, set, frozenset)):
        return None
    if isinstance(value, (set, frozenset)) or not all(isinstance(name, str) for name in value):
        raise TypeError(f"{value!r} is no list of names of modules")
    return list(value) or None


def _normal(name):
    return name.replace("_", "").lower()


def _nearest(name):
    """The setting that a name is a mistake for, if it is near one; None for a setting's own."""
    if name.startswith("_") or name in SETTINGS or len(name) > 32:
        return None
    normal = _normal(name)
    for setting in SETTINGS:
        if setting in ("name", "preload"):  # Too many names are near them, such as `reload`.
            continue
        wanted = _normal(setting)
        if _distance(normal, wanted) <= (2 if len(wanted) >= 9 else 1):
            return setting
    return None


def _nearest_hook(name):
    """The hook that a name is a mistake for, if it is one but for its capitals, a `_` or an `s`."""
    if name.startswith("_") or name in HOOKS:
        return None
    normal = _normal(name)
    return next((hook for hook in HOOKS if normal.rstrip("s") == _normal(hook)), None)


def _static(stage, name):
    return inspect.getattr_static(stage, name, None)


def _distance(one, other):
    """Letters to add, take out, replace, or swap with their neighbour."""
    before, last = [], list(range(len(other) + 1))
    for at, letter in enumerate(one, 1):
        row = [at]
        for place, wanted in enumerate(other, 1):
            cost = min(last[place] + 1, row[-1] + 1, last[place - 1] + (letter != wanted))
            if at > 1 and place > 1 and letter == other[place - 2] and one[at - 2] == wanted:
                cost = min(cost, before[place - 2] + 1)
            row.append(cost)
        before, last = last, row
    return last[-1]


def _has_shape(stage, name, setting):
    """Whether what stands under a name could be that setting: `self.output` may be a file."""
    value = _static(stage, name)
    if isinstance(value, property):
        return True
    if inspect.isfunction(value):
        if setting in ("inputs", "outputs", "num_workers", "resources"):
            return name[-1] == "s"
        return _is_free(getattr(stage, name, value))
    if setting == "runtime_env":
        return isinstance(value, (dict, list))
    if setting == "resources":
        return isinstance(value, dict) or any(hasattr(value, amount) for amount in _AMOUNTS)
    if setting in ("inputs", "outputs"):
        is_list = isinstance(value, (list, tuple)) and bool(value)
        return is_list and all(isinstance(key, str) for key in value)
    if setting == "isolation":
        return isinstance(value, str) and value in _ISOLATIONS
    if setting in _COUNTS:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, (dict, int, float))
