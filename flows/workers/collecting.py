"""Collect what a job's workers report, in its driver."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from flows.runs.log import find_run_logger
from flows.workers.reports import Reporter, Reports, Snapshot

SECONDS_BETWEEN_READINGS = 1.0
SECONDS_TO_ANSWER = 2.0
MOST_PENDING = 1_000  # reports of one worker that have not arrived; more are dropped


@contextmanager
def collect_reports(show: Callable[[Snapshot], None]) -> Iterator[Reporter]:
    """Provide a reporter for a Ray job's workers, and show what they report until the block ends.

    ``show`` is called from another thread. Warnings are shown in the run's log, each once.
    """
    import ray
    from ray.exceptions import RayError
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=True)
    options: dict[str, Any] = {"num_cpus": 0, "max_pending_calls": MOST_PENDING, "scheduling_strategy": here}
    actor = ray.remote(**options)(Reports).remote()
    log_warnings = make_warnings_log()

    def read_and_show() -> None:
        with suppress(RayError):
            reported: Snapshot = ray.get(actor.read.remote(), timeout=SECONDS_TO_ANSWER)
            show(reported)
            log_warnings(reported.warnings)

    try:
        with call_repeatedly(read_and_show):
            yield Reporter(actor)
    finally:
        read_and_show()  # a job that failed may have warned before
        with suppress(RayError):
            ray.kill(actor)


def make_warnings_log() -> Callable[[dict[str, str]], None]:
    """Return a function that logs warnings with their nodes, if it has not logged them yet."""
    logger, logged = find_run_logger(), set[str]()

    def log(warnings: dict[str, str]) -> None:
        for text, node in warnings.items():
            if text not in logged:
                logged.add(text)
                logger.warning("node %s: %s", node, text)

    return log


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
