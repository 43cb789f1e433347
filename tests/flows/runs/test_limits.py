"""Jobs on GPUs wait for each other at Prefect's limit, where there is one."""

import threading
import time

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import GlobalConcurrencyLimitCreate

from flows.runs.limits import LIMIT, occupy_gpus


@pytest.mark.usefixtures("prefect_server")
def test_a_second_job_waits_until_the_first_has_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT__FLOW_RUN_ID", "00000000-0000-0000-0000-000000000000")
    with occupy_gpus(8):  # without a limit nothing waits
        pass
    with get_client(sync_client=True) as client:
        client.create_global_concurrency_limit(GlobalConcurrencyLimitCreate(name=LIMIT, limit=2))
    order = []

    def run_second() -> None:
        with occupy_gpus(1.5):  # three actors with half a GPU each
            order.append("second")

    second = threading.Thread(target=run_second)
    try:
        with occupy_gpus(1):
            second.start()
            time.sleep(1)  # the second could well have begun
            order.append("first")
        second.join()
    finally:
        with get_client(sync_client=True) as client:
            client.delete_global_concurrency_limit_by_name(LIMIT)
    assert order == ["first", "second"]


def test_a_run_by_hand_asks_no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    with occupy_gpus(8):
        pass
