"""Prefect's global concurrency limit "gpus": of all runs' jobs that compute on GPUs, as many at once as it allows."""

from collections.abc import Iterator
from contextlib import contextmanager

from flows.runs.deployments import is_of_deployment

LIMIT = "gpus"


@contextmanager
def occupy_gpus(count: float) -> Iterator[None]:
    """Wait until ``count`` slots of the limit are free, and hold them in the block. Without the limit, do not wait.

    Only in a run of a deployment, which shares its GPUs with others. A stage that is cached does not come here.
    """
    slots = int(-(-count // 1))
    if not slots or not is_of_deployment():
        yield
        return
    from prefect.concurrency.sync import concurrency

    # A server that is away for a while takes the slots back, and does not end the job.
    with concurrency(LIMIT, occupy=slots, raise_on_lease_renewal_failure=False):
        yield
