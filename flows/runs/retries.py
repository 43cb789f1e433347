"""Run a stage as a Prefect task that is tried again after errors that can pass."""

from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.tasks import Task, exponential_backoff

from crf.errors import CRFError
from flows.errors import list_causes
from flows.runs.deployments import is_of_deployment
from flows.stage import P, Stage, StageResult, run_stage
from storage.endpoints import is_endpoint_error
from storage.errors import EndpointError, UserError

RETRIES, FIRST_DELAY_SECONDS = 3, 30


def run_with_retries(stage: Stage[P], params: P, root: str) -> StageResult:
    """Run a stage. In a run of a deployment, errors that can pass are followed by three more attempts.

    Each attempt resumes from what the last one committed. A run that was started by hand shows its error at once.
    """

    @task(
        name=stage.name,
        retries=RETRIES,
        retry_delay_seconds=exponential_backoff(FIRST_DELAY_SECONDS),
        retry_condition_fn=should_retry,
        cache_policy=NO_CACHE,
        persist_result=False,
    )
    def attempt() -> StageResult:
        return run_stage(stage, params, root)

    return attempt()


def should_retry(tried: Task[Any, Any], run: TaskRun, state: State[Any]) -> bool:
    """Tell whether another attempt is made: nobody watches the run, and its error can pass."""
    if not is_of_deployment():
        return False
    try:
        state.result()
    except Exception as error:
        return can_pass(error)
    return False


def can_pass(error: BaseException) -> bool:
    """Tell whether an error can pass by itself: a server, a disk, a node or an actor went away.

    A user's mistake never does, nor does an error of the code.
    """
    from ray.exceptions import RayError, RayTaskError

    causes = list_causes(error)
    if any(isinstance(cause, UserError | CRFError) and not isinstance(cause, EndpointError) for cause in causes):
        return False
    return any(
        isinstance(cause, EndpointError)
        or (is_endpoint_error(cause) and not isinstance(cause, FileNotFoundError | PermissionError))
        or (isinstance(cause, RayError) and not isinstance(cause, RayTaskError))
        for cause in causes
    )
