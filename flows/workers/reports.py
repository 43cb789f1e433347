"""What a job's workers tell their driver while they work: the rows that they have done.

All of it is best effort: no worker waits for a report to arrive, and no lost report fails a job.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

SECONDS_BETWEEN_READINGS = 1.0
SECONDS_TO_ANSWER = 2.0
MOST_PENDING = 1_000  # reports of one worker that have not arrived; more are dropped


class Reports:
    """Collect reports, in an actor on the driver's node."""

    def __init__(self) -> None:
        self._rows: dict[int, int] = {}

    def count_rows(self, first: int, rows: int) -> None:
        """Set the rows done of the block that begins at row ``first``. A block that is tried again starts again."""
        self._rows[first] = rows

    def read_rows(self) -> dict[int, int]:
        """Return the rows done of each block, by its first row."""
        return self._rows


class Reporter:
    """A worker's way to the ``Reports`` in an actor. Calls return at once, whether or not they arrive."""

    def __init__(self, actor: Any) -> None:
        self._actor = actor

    def count_rows(self, first: int, rows: int) -> None:
        from ray.exceptions import RayError

        with suppress(RayError):
            self._actor.count_rows.remote(first, rows)


@contextmanager
def collect_reports(show_rows: Callable[[dict[int, int]], None]) -> Iterator[Reporter]:
    """Provide a reporter for a Ray job's workers; show what they report, from another thread, until the block ends."""
    import ray
    from ray.exceptions import RayError
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=True)
    options: dict[str, Any] = {"num_cpus": 0, "max_pending_calls": MOST_PENDING, "scheduling_strategy": here}
    actor = ray.remote(**options)(Reports).remote()

    def read_and_show() -> None:
        with suppress(RayError):
            show_rows(ray.get(actor.read_rows.remote(), timeout=SECONDS_TO_ANSWER))

    try:
        with call_repeatedly(read_and_show):
            yield Reporter(actor)
    finally:
        with suppress(RayError):
            ray.kill(actor)


@contextmanager
def call_repeatedly(call: Callable[[], None]) -> Iterator[None]:
    """Call a function every second in another thread, until the block ends."""
    ended = threading.Event()

    def repeat() -> None:
        while not ended.wait(SECONDS_BETWEEN_READINGS):
            call()

    thread = threading.Thread(target=repeat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
