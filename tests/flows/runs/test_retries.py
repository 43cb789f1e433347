"""Which errors are worth another attempt, and that a run by hand makes none."""

import pytest
from prefect import flow
from ray.exceptions import ActorDiedError, RayTaskError

from flows.runs import retries
from flows.runs.retries import can_pass
from storage import UserError
from storage.errors import EndpointError
from tests.support.stubborn import FAILING, Asked


@pytest.mark.parametrize(
    ("error", "passes"),
    [
        (EndpointError("gs://bucket", "no answer"), True),
        (ActorDiedError(), True),
        (ConnectionResetError("by peer"), True),
        (RayTaskError("compute", "trace", ValueError("a bug")), False),
        (UserError("a teacher", "none", "give one"), False),
        (ValueError("a bug"), False),
    ],
)
def test_only_what_went_away_can_pass(error: Exception, passes: bool) -> None:
    assert can_pass(error) is passes


@pytest.mark.parametrize(
    ("by_worker", "error", "attempts"),
    [
        (True, EndpointError("gs://bucket", "no answer"), 4),
        (True, UserError("a teacher", "none", "give one"), 1),
        (False, EndpointError("gs://bucket", "no answer"), 1),
    ],
)
def test_a_deployments_run_tries_again_what_can_pass(
    by_worker: bool, error: Exception, attempts: int, monkeypatch: pytest.MonkeyPatch, prefect_server: None
) -> None:
    monkeypatch.setattr(retries, "FIRST_DELAY_SECONDS", 0)
    if by_worker:
        monkeypatch.setenv("PREFECT__FLOW_RUN_ID", "00000000-0000-0000-0000-000000000000")
    asked = Asked(error=error)

    @flow
    def run() -> None:
        retries.run_with_retries(FAILING, asked, "/nowhere")

    with pytest.raises(type(error)):
        run()
    assert asked.times == attempts
