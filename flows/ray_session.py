"""A Ray to run on: the cluster in RAY_ADDRESS, or a local one that ends with the block."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tenacity import retry, retry_if_exception_message, stop_after_attempt

LOCAL_OBJECT_STORE_BYTES = 2 * 2**30


@contextmanager
def ray_session() -> Iterator[None]:
    """Nested blocks share the outermost one's Ray. Ending it is what stops a cancelled run's actors."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    import ray
    import ray.data

    context = ray.data.DataContext.get_current()
    context.target_max_block_size = None  # a block is a shard; never split one
    context.enable_progress_bars = False
    context.raise_original_map_exception = True  # so that a worker's UserError can be told from our mistakes
    if ray.is_initialized():
        yield
        return
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)  # what fails is raised
    if "RAY_ADDRESS" in os.environ:
        ray.init(logging_level=logging.ERROR, log_to_driver=False)
    else:
        # Nobody takes this machine away: spare each training a process that watches for it.
        os.environ.setdefault("RAY_TRAIN_ENABLE_PREEMPTION_WATCHER", "0")
        start_local_ray(object_store_memory=LOCAL_OBJECT_STORE_BYTES)
    try:
        yield
    finally:
        ray.shutdown()


@retry(
    retry=retry_if_exception_message(match="The current node timed out during startup"),
    stop=stop_after_attempt(3),
    reraise=True,
)
def start_local_ray(**options: Any) -> Any:
    """``ray.init`` of a Ray of this machine's own -> its context.

    On a busy machine Ray's agents are not always up within the 15 s that it grants them
    (ray-project/ray#65983): then once more.
    """
    import ray

    return ray.init(logging_level=logging.ERROR, log_to_driver=False, include_dashboard=False, **options)
