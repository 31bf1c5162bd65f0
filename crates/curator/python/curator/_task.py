"""The types of `curator_stage`, for type checkers; that module is what is used."""

from collections.abc import Iterable
from typing import Any, Optional

__all__ = ["Aggregate", "Context", "Task"]


class Task:
    """One unit of work: its data, and where it comes from."""

    data: Any
    metadata: dict[str, Any]
    dataset_name: str
    id: str

    def __init__(
        self,
        data: Any = None,
        metadata: Optional[dict[str, Any]] = None,
        dataset_name: str = "",
        id: str = "0",
    ) -> None: ...

    def to_pandas(self) -> Any: ...

    def to_numpy(self) -> dict[str, Any]:
        raise NotImplementedError


class Aggregate:
    """What `process_batch` returns to turn a whole batch into outputs, whatever their number."""

    outputs: list[Any]

    def __init__(self, outputs: Iterable[Any]) -> None: ...


class Context:
    """Where a hook runs."""

    stage: str
    worker: int
    node: str
    environment: Optional[str]

    def __init__(
        self,
        stage: str = "",
        worker: int = 0,
        node: str = "",
        environment: Optional[str] = None,
    ) -> None: ...
