"""What runs pipelines: this machine, or one of the engines on Ray, with their settings."""

import dataclasses
import math
import os
from collections.abc import Mapping, Sequence
from typing import Any, Optional

from curator._program import Folder

__all__ = [
    "Checkpoint",
    "Executor",
    "LocalExecutor",
    "RayActorPoolExecutor",
    "RayDataExecutor",
    "RunRecord",
    "XennaExecutor",
]


@dataclasses.dataclass(frozen=True)
class Executor:
    """What all executors have.

    `failure_policy` is `"fail-fast"` (the default) or `"record"`, `stop_grace` the seconds that
    workers have after Ctrl-C, and `cache_dir` where environments are kept.
    """

    failure_policy: Optional[str] = None
    stop_grace: Optional[float] = None
    cache_dir: Optional[Folder] = None

    def __post_init__(self) -> None:
        if self.failure_policy is not None and not isinstance(self.failure_policy, str):
            raise TypeError(
                f'`failure_policy` is "fail-fast" or "record", not {self.failure_policy!r}:'
                f" name the settings, as in `{type(self).__name__}(stop_grace=60)`"
            )
        _check_seconds("stop_grace", self.stop_grace)
        if self.cache_dir is not None:
            folder_of(self.cache_dir, "cache_dir")

    @property
    def is_remote(self) -> bool:
        """Whether workers may be on other machines."""
        return False

    def engine(self) -> dict[str, Any]:
        """As a pipeline file has it."""
        raise NotImplementedError


@dataclasses.dataclass(frozen=True)
class LocalExecutor(Executor):
    """This machine: `cpus` cores and these `devices` are shared out among the stages. With
    `templates=False` no worker is forked from a process that has imported its packages; with
    `keep_warm=600`, such processes stay for 600 seconds after a run, for the next one. In a
    notebook they stay as long as its kernel, unless `keep_warm=0`."""

    cpus: Optional[int] = None
    devices: Optional[Sequence[str]] = None
    templates: Optional[bool] = None
    keep_warm: Optional[float] = None

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_seconds("keep_warm", self.keep_warm)
        if self.cpus is not None and not (_is_count(self.cpus) and self.cpus > 0):
            raise ValueError(f"`cpus` is a number of cores, from 1 on, not {self.cpus!r}")
        if self.templates is not None and not isinstance(self.templates, bool):
            raise TypeError(f"`templates` is True or False, not {self.templates!r}")
        if isinstance(self.devices, (str, bytes)) or not _is_some(self.devices):
            raise TypeError(f"`devices` is a list of texts, as in ['0', '1'], not {self.devices!r}")

    def engine(self) -> dict[str, Any]:
        """As a pipeline file has it."""
        engine: dict[str, Any] = {"backend": "local"}
        if self.cpus is not None:
            engine["cpus"] = self.cpus
        if self.devices is not None:
            engine["devices"] = list(self.devices)
        if self.templates is not None:
            engine["templates"] = self.templates
        if self.keep_warm is not None:
            engine["keep_warm"] = f"{math.ceil(self.keep_warm)}s"
        return engine


@dataclasses.dataclass(frozen=True)
class _RayExecutor(Executor):
    """An engine on Ray: on the cluster at `address` (`"auto"` is the one of this machine), else on
    a Ray of its own. The base needs `ray`. `init` are other arguments of `ray.init`, and `options`
    are the engine's own."""

    address: Optional[str] = None
    num_cpus: Optional[float] = None
    num_gpus: Optional[float] = None
    ray_env: Optional[str] = None
    init: Mapping[str, Any] = dataclasses.field(default_factory=dict[str, Any])
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict[str, Any])

    _backend = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("init", "options"):
            value: Any = getattr(self, name)
            if not isinstance(value, Mapping):
                raise TypeError(f"`{name}` is a table, as in {{'name': 'value'}}, not {value!r}")
        for name in ("num_cpus", "num_gpus"):
            value = getattr(self, name)
            is_number = _is_count(value) or isinstance(value, float)
            if value is not None and not (is_number and 0 <= value < math.inf):
                raise ValueError(f"`{name}` is a number, from 0 on, not {value!r}")
        if self.address is not None and not isinstance(self.address, str):
            raise TypeError(f"`address` is text, as in 'auto', not {self.address!r}")

    @property
    def is_remote(self) -> bool:
        """Whether workers may be on other machines."""
        return True

    def engine(self) -> dict[str, Any]:
        """As a pipeline file has it."""
        names = ("address", "num_cpus", "num_gpus", "ray_env")
        given = {name: getattr(self, name) for name in names if getattr(self, name) is not None}
        rest = {"init": dict(self.init), "options": dict(self.options)}
        return {"backend": self._backend, **given, **rest}


@dataclasses.dataclass(frozen=True)
class RayDataExecutor(_RayExecutor):
    """Ray Data: streaming, each stage a `map_batches`."""

    _backend = "ray-data"


@dataclasses.dataclass(frozen=True)
class RayActorPoolExecutor(_RayExecutor):
    """A pool of Ray actors for each stage, one stage after the other."""

    _backend = "ray-actor-pool"


@dataclasses.dataclass(frozen=True)
class XennaExecutor(_RayExecutor):
    """Xenna: streaming, with workers that are added where the pipeline is slow."""

    _backend = "xenna"


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """A folder in which runs keep which tasks are finished, and what came of them: the same call
    does the rest. `accept_changes` takes it up although the work has changed since."""

    dir: Folder
    accept_changes: bool = False

    def __post_init__(self) -> None:
        folder_of(self.dir, "dir")
        if not isinstance(self.accept_changes, bool):
            raise TypeError(f"`accept_changes` is True or False, not {self.accept_changes!r}")


@dataclasses.dataclass(frozen=True)
class RunRecord:
    """A folder for what the environments of a run held: `run(record=...)` writes it, and
    `run(locked=...)` has them hold just that again."""

    dir: Folder

    def __post_init__(self) -> None:
        folder_of(self.dir, "dir")


def folder_of(given: Any, name: str) -> str:
    """The path of a folder that an argument of this name gives, as text."""
    try:
        return os.fsdecode(given)
    except TypeError:
        raise TypeError(f"`{name}` is the path of a folder, not {given!r}") from None


def executor_of(given: Any) -> Executor:
    """The executor that a caller gives, which by default is this machine."""
    if given is None:
        return LocalExecutor()
    if not isinstance(given, Executor):
        what = f"the class {given.__qualname__}" if isinstance(given, type) else repr(given)
        raise TypeError(f"{what} is no executor: give one, such as `LocalExecutor()`")
    return given


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _check_seconds(name: str, seconds: Any) -> None:
    is_number = isinstance(seconds, (int, float)) and not isinstance(seconds, bool)
    if seconds is not None and not (is_number and 0 <= seconds < math.inf):
        kind = ValueError if is_number else TypeError
        raise kind(f"`{name}` is a number of seconds, from 0 on, not {seconds!r}")


def _is_some(items: Any) -> bool:
    return items is None or isinstance(items, Sequence)
