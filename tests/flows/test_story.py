import asyncio
import json
import time
from pathlib import Path
from uuid import UUID

import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import LogFilter, LogFilterFlowRunId
from prefect.runtime import flow_run

from flows import story
from flows.progress import Progress
from flows.story import Story
from storage import UserError
from tests.support.stores import make_store

PATIENCE = 1_000  # seconds until a line that does not come counts as missing
pytestmark = pytest.mark.usefixtures("prefect_server")


def read_log(run: str, told: str) -> str:
    """Read the log of a flow run once it has a text: its lines are sent in the background."""

    async def fetch() -> str:
        async with get_client() as client:
            lines = await client.read_logs(LogFilter(flow_run_id=LogFilterFlowRunId(any_=[UUID(run)])))
        return "\n".join(line.message for line in lines)

    deadline = time.monotonic() + PATIENCE
    while told not in (log := asyncio.run(fetch())) and time.monotonic() < deadline:
        time.sleep(0.2)
    return log


def test_rejected_rows_are_in_the_log_and_in_a_table(tmp_path: Path) -> None:
    url = make_store(tmp_path)

    @flow
    def run() -> str:
        Story("encode").tell_rejected(f"{url}/index.parquet")
        return str(flow_run.get_id())

    log = read_log(run(), "were rejected")
    assert "encode: rejected id-3: empty: 0 bytes (file-3)" in log
    assert "encode: 1 rows were rejected: 1 × empty: 0 bytes" in log
    with get_client(sync_client=True) as client:
        tables = [artifact.data for artifact in client.read_artifacts() if artifact.key == "encode-rejected"]
    assert [{"id": "id-3", "reason": "empty: 0 bytes", "source": "file-3"}] in [json.loads(str(t)) for t in tables]


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (UserError("a", "b", "do c"), "teach: failed: expected a, found b; do c"),
        (KeyboardInterrupt(), "teach: stopped"),
    ],
)
def test_after_a_failure_it_says_what_is_kept(error: BaseException, told: str) -> None:
    runs = []

    @flow
    def run() -> None:
        runs.append(str(flow_run.get_id()))
        with Progress("teach") as progress, Story("teach").follow(progress, lambda: "37 of 512 shards"):
            raise error

    with pytest.raises(type(error)):
        run()
    log = read_log(runs[0], "are kept")
    assert told in log
    assert "teach: run the same again, and it goes on from here: 37 of 512 shards are kept" in log


def test_progress_is_told_in_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(story, "SECONDS", 0)
    monkeypatch.setattr(story, "POLL_SECONDS", 0.01)

    @flow
    def run() -> str:
        run = str(flow_run.get_id())
        with Progress("teach") as progress, Story("teach").follow(progress, lambda: ""):
            progress.start(0, 100, "rows")
            progress.advance(4)
            time.sleep(0.1)
            progress.advance(46)
            read_log(run, "teach: 50 of 100")
        return run

    assert "teach: 4 of 100" not in read_log(run(), "teach: 50 of 100")
