"""Stages: what their authors write, and what pipelines read of it."""

import copy
import dataclasses
import functools
import inspect
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Callable, TypeVar

from curator._shared import shared

if TYPE_CHECKING:
    from curator._task import Aggregate, Context, Task
else:
    _module = shared("curator_stage")
    Aggregate, Context, Task = _module.Aggregate, _module.Context, _module.Task

__all__ = ["Aggregate", "CompositeStage", "Context", "Resources", "Stage", "Task", "stage"]

# As in an entry of a pipeline file; `name` beside them.
SETTINGS = (
    "runtime_env",
    "resources",
    "batch_size",
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


@dataclasses.dataclass(frozen=True)
class Resources:
    """What one worker occupies: cores, and GPUs or the memory of one."""

    cpus: float = 1.0
    gpus: float = 0.0
    gpu_memory_gb: float = 0.0


Self = TypeVar("Self", bound="Stage")


class Stage:
    """An optional base class of stages.

    A stage is any class with `process(task)` or `process_batch(tasks)`; the hooks `setup_on_node`,
    `setup` and `teardown` are optional. What it declares (`runtime_env`, `batch_size`, `resources`
    and the like, on the class or set on the instance) is what it runs with, unless `with_` or the
    pipeline says otherwise.
    """

    # What stages of this class have after `with_`.
    _curator_settings = ("name", *SETTINGS)

    def with_(self: Self, **settings: Any) -> Self:
        """Returns a copy with other settings, which its code sees as its attributes.

        `runtime_env={}` is the base environment, whatever the class declares. `None` keeps the
        `runtime_env` and the `name`, as in NeMo Curator; it takes any other setting back.
        """
        changed: Self = with_settings(self, settings)
        return changed


def with_settings(instance: Any, settings: Mapping[str, Any]) -> Any:
    """A copy of a stage's instance with other settings."""
    settings = _given(settings)
    changed = copy.copy(instance)
    before = _with_of(instance)
    # What the author declares is told beside what holds.
    declared = {**_replaced(instance, settings), **_noted(instance, "_curator_declared")}
    _note(changed, "_curator_with", {**before, **settings})
    _note(changed, "_curator_declared", declared)
    shared("curator_json")
    shared("curator_overrides").lay_over(changed, settings, instance)
    return changed


# What is noted of instances that have slots alone; kept with them, for ids are given again.
_WITHOUT_ROOM: dict[int, tuple[Any, dict[str, Any]]] = {}


def _note(instance: Any, name: str, value: dict[str, Any]) -> None:
    try:
        # Also where the author has forbidden changes.
        object.__setattr__(instance, name, value)
    except AttributeError:
        _, notes = _WITHOUT_ROOM.setdefault(id(instance), (instance, {}))
        notes[name] = value


def _noted(instance: Any, name: str) -> dict[str, Any]:
    """Returns a note of an instance, which may have an answer to any name."""
    if id(instance) in _WITHOUT_ROOM:
        notes = _WITHOUT_ROOM[id(instance)][1]
    else:
        notes = getattr(instance, "__dict__", {})
    found: dict[str, Any] = notes.get(name, {})
    return found


def _with_of(instance: Any) -> dict[str, Any]:
    """Returns what `with_` has said of an instance."""
    return _noted(instance, "_curator_with")


def _replaced(instance: Any, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Returns what an instance declares for settings that `with_` is about to change."""
    before = _with_of(instance)
    try:
        found = _declared(instance, is_quiet=True)
    except ValueError:
        return {}  # What cannot be read and holds is told when the pipeline runs.
    return {name: found[name] for name in settings if name in found and name not in before}


# `None` keeps them.
_KEPT = ("name", "runtime_env")


def _given(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings to change. Refuses what is no setting, and a name that is none."""
    for name, value in settings.items():
        if name not in ("name", *SETTINGS):
            import difflib

            near = difflib.get_close_matches(str(name), SETTINGS, 1)
            hint = f" (did you mean `{near[0]}`?)" if near else ""
            raise TypeError(
                f"`{name}` is no setting of a stage{hint}; there are name, {', '.join(SETTINGS)}"
            )
        is_name = value is None or (isinstance(value, str) and value.strip())
        if name == "name" and not is_name:
            raise TypeError(f"`name` of a stage is text that is not empty, not {value!r}")
    return {
        name: value for name, value in settings.items() if value is not None or name not in _KEPT
    }


def changes_of(changes: Any) -> dict[str, Mapping[str, Any]]:
    """The settings to change, by the names of stages."""
    table: Any = changes if isinstance(changes, Mapping) else {"": None}
    for name, change in table.items():
        if not isinstance(change, Mapping):
            given = repr(change) if table is changes else repr(changes)
            where = f" for the stage {name!r}" if table is changes else ""
            raise TypeError(
                "`with_` takes tables of settings by the names of stages, as in"
                f" {{'Clean': {{'batch_size': 8}}}}, not {given}{where}"
            )
    return dict(table)


def _called_by(function: Any) -> "Iterator[Any]":
    """A function, and those that it calls or wraps."""
    from curator._shared import shared

    shared("curator_json")
    found: Iterator[Any] = shared("curator_declared").called_by(function)
    return found


class FunctionStage(Stage):
    """A function, or an object that can be called, as a stage; it can be called as before."""

    def __init__(self, function: Callable[..., Any], settings: Mapping[str, Any]) -> None:
        functools.update_wrapper(self, function)
        # Attributes of a function do none of a stage's work.
        for name in (*_WORK, *_HOOKS):
            vars(self).pop(name, None)
        self._function = function
        # A decorator may stand between this one and another.
        called = list(_called_by(function))
        self.__dict__.update(_hooks_of(called))
        nothing: dict[str, Any] = {}
        within = next((it for it in map(_with_of, called) if it), nothing)
        self._curator_with = {**within, **settings}
        if hasattr(function, "registry") and hasattr(function, "dispatch"):
            # What `functools.singledispatch` gives its function, which has it still.
            for name in ("dispatch", "register", "registry", "_clear_cache"):
                vars(self).pop(name, None)
        if not hasattr(self, "__name__"):
            names = (getattr(it, "__name__", None) or type(it).__name__ for it in called[1:])
            self.__name__ = next(names, type(function).__name__)

    def process(self, task: Task) -> Any:
        return self._function(task)

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        return self._function(*arguments, **named)


def _hooks_of(called: Sequence[Any]) -> dict[str, Any]:
    """The hooks of an object that is called: not of a plain function, which has none, nor of an
    object of which one method alone is called."""
    for one in called:
        if inspect.ismethod(one):
            break
        if not inspect.isfunction(one) and not isinstance(one, functools.partial):
            hooks = {name: getattr(one, name, None) for name in _HOOKS}
            return {name: hook for name, hook in hooks.items() if callable(hook)}
    return {}


def stage(what: Any = None, **settings: Any) -> Any:
    """Makes a stage of a function, or declares settings of a class.

    @stage(runtime_env={"uv": ["packaging==24.0"]}, batch_size=8)
    class Clean: ...

    @stage
    def count(task): ...
    """
    settings = _given(settings)

    def made(what: Any) -> Any:
        if isinstance(what, type):
            for name, value in settings.items():
                setattr(what, name, value)
            return what
        if shared("curator_code").is_class(what):
            # With some of its arguments, or with types for its variables.
            return with_settings(as_instance(what), settings)
        if not callable(what):
            raise TypeError(f"{what!r} is neither a class nor a function")
        return FunctionStage(what, settings)

    return made if what is None else made(what)


class CompositeStage:
    """A stage that stands for several: `decompose` gives them, in order."""

    def decompose(self) -> Sequence[Any]:
        raise NotImplementedError(f"{type(self).__name__} has no `decompose`")

    def with_(self, changes: Mapping[str, Mapping[str, Any]]) -> "CompositeStage":
        """Returns a copy with other settings for some of its stages, by their names."""
        changed = copy.copy(self)
        before: dict[str, Mapping[str, Any]] = self.__dict__.get("_curator_changes", {})
        given = changes_of(changes)
        merged = {name: {**before.get(name, {}), **change} for name, change in given.items()}
        changed.__dict__["_curator_changes"] = {**before, **merged}
        return changed


def expand(stages: Sequence[Any]) -> list[Any]:
    """Instances of the stages that others stand for, in order."""
    if isinstance(stages, (set, frozenset)):
        raise TypeError("a pipeline takes its stages in a list: a set has no order")
    is_one = isinstance(stages, (str, bytes, Mapping, type)) or not hasattr(stages, "__iter__")
    if is_one:
        raise TypeError(
            f"a pipeline takes its stages in a list, and got {stages!r}: for one stage, give"
            " `[stage]`"
        )
    instances: list[Any] = []
    for given in stages:
        instance = as_instance(given)
        parts: Any = getattr(instance, "decompose", None)
        if not callable(parts) or hasattr(instance, "process"):
            instances.append(instance)
            continue
        decomposed: Any = parts()
        inner = expand(decomposed)
        _check_composite(instance, inner)
        changes = dict(getattr(instance, "__dict__", {}).get("_curator_changes", {}))
        names = names_of(inner)
        for part, name in zip(inner, names):
            change = changes.pop(name, None)
            instances.append(with_settings(part, change) if change else part)
        if changes:
            there = ", ".join(map(repr, names))
            raise ValueError(
                f"{type(instance).__name__} has no stage {next(iter(changes))!r}: there are {there}"
            )
    return instances


def _check_composite(instance: Any, parts: Sequence[Any]) -> None:
    """Refuses a composite stage that declares an environment which none of its stages has: they
    would run in another one. Other settings that none of them has are a warning."""
    is_nemo = shared("curator_nemo").is_stage(instance)
    declared = _declared(instance, is_quiet=True)
    held = [settings_of(part, is_quiet=True) for part in parts]
    for setting, value in declared.items():
        if any(settings.get(setting) == value for settings in held):
            continue
        told = (
            f"the composite stage {type(instance).__name__} declares `{setting}`, which none of its"
            " stages has: declare it on these, or give it by `with_`, by their names"
        )
        if setting == "runtime_env" and value and not is_nemo:
            raise ValueError(told)
        if setting == "runtime_env" or not is_nemo:
            import warnings

            warnings.warn(told, stacklevel=_depth())


def as_instance(given: Any) -> Any:
    """A stage as an object that does the work."""
    instance = given() if shared("curator_code").is_class(given) else given
    if any(callable(getattr(instance, name, None)) for name in _WORK):
        return instance
    if callable(instance):
        return FunctionStage(instance, {})
    import difflib

    near = [(name, work) for work in _WORK for name in difflib.get_close_matches(work, dir(given))]
    meant = f"; its `{near[0][0]}` is nearly `{near[0][1]}`" if near else ""
    what = f"the class {given.__qualname__}" if isinstance(given, type) else repr(given)
    raise TypeError(
        f"{what} is no stage{meant}: a stage is a function, or a class or an object with"
        " `process(task)` or `process_batch(tasks)`"
    )


# What does the work of a stage, or gives those that do.
_WORK = ("process", "process_batch", "decompose")
_HOOKS = ("setup_on_node", "setup", "teardown")


def settings_of(instance: Any, *, is_quiet: bool = False) -> dict[str, Any]:
    """What a stage runs with: what it declares, and over that what `with_` says.

    What is nearly a setting is a warning, unless workers tell of it.
    """
    settings = _declared(instance, is_quiet=is_quiet)
    for name, value in _with_of(instance).items():
        if name == "name":
            continue
        settings.pop(name, None)
        if value is not None:
            settings.update(_formed(name, value))
    preload: Any = settings.get("preload", False)
    is_list = type(preload) is list and all(isinstance(module, str) for module in preload)
    if not is_list and not isinstance(preload, bool):
        raise TypeError(
            f"`preload` is a list of modules, as in ['pandas'], or False: not {preload!r}"
        )
    return settings


def _formed(name: str, value: Any) -> dict[str, Any]:
    """A setting of `with_`, in the forms that it may have on a class; nothing if it is empty."""
    stand_in = shared("curator_json").stand_in
    try:
        told = shared("curator_declared").form(name, value)
        if told is not None and "unread" in told:
            # A class may not say as much.
            told = {"value": json.loads(json.dumps(value, default=stand_in, allow_nan=False))}
    except (TypeError, ValueError) as error:
        raise TypeError(f"`{name}`: {error}") from error
    if told is not None:
        return {name: told["value"]}
    if value not in ({}, [], (), set()):
        raise TypeError(f"`{name}` cannot be {value!r}")
    return {}


def declarations(instances: Sequence[Any]) -> list[dict[str, Any]]:
    """What stages declare, and whether `with_` says something else."""
    return [
        {
            "stage": name,
            "setting": setting,
            "declared": value,
            "value": holds.get(setting),
            "is_overridden": setting in _with_of(instance),
        }
        for instance, name in zip(instances, names_of(instances))
        for holds in [settings_of(instance, is_quiet=True)]
        for setting, value in {
            **{
                setting: value
                for setting, value in _declared(instance, is_quiet=True).items()
                if setting not in _with_of(instance)
            },
            **_noted(instance, "_curator_declared"),
        }.items()
    ]


def _declared(instance: Any, *, is_quiet: bool = False) -> dict[str, Any]:
    """What the class or the instance of a stage declares."""
    shared("curator_json")
    shared("curator_nemo")
    module = shared("curator_declared")
    found: Any = None
    settings: dict[str, Any] = {}
    for one in module.declarers(instance):
        names: set[Any] = set(getattr(one, "__dict__", ()))
        for kind in one.__mro__ if isinstance(one, type) else type(one).__mro__:
            if kind not in (Stage, object):
                names.update(vars(kind))
        found = module.declared(one, {name for name in names if isinstance(name, str)}, found)
    for name, told in found["settings"].items():
        if name == "name":
            continue  # `name_of` has it, and what `with_` says of it.
        if "unread" in told:
            if name in _with_of(instance):
                continue  # Something else holds.
            raise ValueError(f"`{name}` of stage {name_of(instance)!r}: {told['unread']}")
        settings[name] = told["value"]
    for name, setting in () if is_quiet else found["near"]:
        import warnings

        warnings.warn(
            f"stage {name_of(instance)!r} has `{name}`, which is no setting and no hook:"
            f" `{setting}` is the nearest",
            stacklevel=_depth(),
        )
    return settings


def _depth() -> int:
    """Returns how far the caller's code is from the function that calls this."""
    import sys

    depth, frame = 1, sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__package__") == __package__:
        depth, frame = depth + 1, frame.f_back
    return depth


def name_of(instance: Any) -> str:
    """A stage's name: what `with_` or the instance says, else its class's or function's."""
    name = _with_of(instance).get("name")
    if name is None:
        name = getattr(instance, "name", None)
    if callable(name) or not isinstance(name, str) or not name:
        name = getattr(instance, "__name__", None) or type(instance).__name__
    return str(name)


def names_of(instances: Sequence[Any]) -> list[str]:
    """The names of stages in a pipeline, where they differ: `Clean`, `Clean_2`. A stage that has
    such a name of its own keeps it."""
    given = [name_of(instance) for instance in instances]
    names: list[str] = []
    for own in given:
        name, number = own, 2
        while name in names or (name != own and name in given):
            name = f"{own}_{number}"
            number += 1
        names.append(name)
    return names
