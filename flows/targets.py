"""Remember a run's targets, so that each input set is scanned once per run, however many flows need its target."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

T = TypeVar("T")
FOUND: ContextVar[dict[tuple[str, str], object]] = ContextVar("FOUND")


@contextmanager
def find_once() -> Iterator[None]:
    """Find each stage's target at most once within the block, subflows included.

    A context variable hands the targets down, because a flow's parameters are what its form in the Prefect UI shows.
    """
    token = FOUND.set(FOUND.get({}))
    try:
        yield
    finally:
        FOUND.reset(token)


def find_target(stage: str, params: str, find: Callable[[], T]) -> T:
    """Return a stage's target for these parameters; call ``find`` unless it is known already."""
    found = FOUND.get({})
    if (stage, params) not in found:
        found[stage, params] = find()
    return found[stage, params]  # type: ignore[return-value]
