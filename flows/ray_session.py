"""Connect to the Ray cluster at RAY_ADDRESS or, if it is not set, start Ray on this machine."""

import logging
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tenacity import retry, retry_if_exception_message, stop_after_attempt

from storage import UserError

DEATHS_IN_INIT = 3  # of actors, one after another, that die before they have loaded a model: one more ends the job
LOCAL_OBJECT_STORE_BYTES = 2 * 2**30


@contextmanager
def ray_session() -> Iterator[None]:
    """Provide Ray within the block. Nested blocks share the outermost block's connection.

    When the block ends, so do all of the run's actors, even if it was cancelled. Raises UserError if RAY_ADDRESS is set
    and no cluster answers there.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    import ray
    import ray.data

    context = ray.data.DataContext.get_current()
    context.target_max_block_size = None  # a block is a shard or a part of one: never split it
    context.execution_no_progress_timeout_s = -1  # a shard may take hours, and a node may take long to come
    context.max_consecutive_actor_init_deaths = DEATHS_IN_INIT
    context.enable_progress_bars = False
    context.raise_original_map_exception = True  # so that a worker's UserError is recognized
    if ray.is_initialized():
        yield
        return
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)  # its failures are raised, too
    with keep_termination():
        connect()
    try:
        yield
    finally:
        ray.shutdown()


def connect() -> None:
    """Join the cluster at RAY_ADDRESS or, if it is not set, start Ray here. Raises UserError if no cluster answers."""
    import ray

    if "RAY_ADDRESS" not in os.environ:
        # A local machine is not preempted: spare each training the process that watches for preemption.
        os.environ.setdefault("RAY_TRAIN_ENABLE_PREEMPTION_WATCHER", "0")
        start_local_ray(object_store_memory=LOCAL_OBJECT_STORE_BYTES)
        return
    try:
        ray.init(logging_level=logging.ERROR, log_to_driver=False)
    except ConnectionError as error:  # also what an object store that is away raises
        where = f"a node of a Ray cluster on this machine, as RAY_ADDRESS is {os.environ['RAY_ADDRESS']!r}"
        raise UserError(where, "none", "join it with `ray start`, or unset RAY_ADDRESS") from error


@contextmanager
def keep_termination() -> Iterator[None]:
    """Keep what this process does at SIGTERM: Ray would end it on the spot, whatever the command line or Prefect do."""
    handler = signal.getsignal(signal.SIGTERM)
    yield
    if callable(handler) and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, handler)


@retry(
    retry=retry_if_exception_message(match="The current node timed out during startup"),
    stop=stop_after_attempt(3),
    reraise=True,
)
def start_local_ray(**options: Any) -> Any:
    """Start Ray on this machine and return its context.

    Retried, because on a busy machine Ray's agents may need more than the 15 s that Ray allows
    (ray-project/ray#65983). Its workers run at the priority of any other process: at Ray's own, they would hardly
    run at all beside another program that keeps the cores busy.
    """
    os.environ.setdefault("RAY_worker_niceness", "0")
    import ray

    return ray.init(logging_level=logging.ERROR, log_to_driver=False, include_dashboard=False, **options)
