"""The targets that a run has found: each input set is scanned once per run, however many flows ask for it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

T = TypeVar("T")
FOUND: ContextVar[dict[tuple[str, str], object]] = ContextVar("FOUND")


@contextmanager
def find_once() -> Iterator[None]:
    """Find each stage's target once in this block, subflows included: their forms have no parameter to hand it down."""
    token = FOUND.set(FOUND.get({}))
    try:
        yield
    finally:
        FOUND.reset(token)


def find_target(stage: str, params: str, find: Callable[[], T]) -> T:
    """Return the target of a stage with these parameters, and find it first if nobody has."""
    found = FOUND.get({})
    if (stage, params) not in found:
        found[stage, params] = find()
    return found[stage, params]  # type: ignore[return-value]
