"""Progress is told with rate and time left, and waits for no server."""

import json
import logging

import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import Artifact
from prefect.settings import PREFECT_API_URL, temporary_settings

from flows.progress import Progress, ProgressArtifact


def test_what_is_done_again_is_not_counted_again() -> None:
    with Progress("teach") as progress:
        progress.start(32, 512, "rows")
        progress.reach(96)
        progress.reach(64)
        progress.advance(16)
    assert (progress.done, progress.percent) == (112, 21)


def test_it_tells_rows_rate_and_time_left(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress("teach") as progress:
        assert progress.percent == 0
        progress.start(0, 1_024, "rows")
        progress.reach(512)
        words = progress.describe().split(", ")
    assert words[0] == "512 of 1,024 rows"
    assert words[1].endswith(" rows/s")
    assert words[2].endswith(" left")
    assert "512/1024" in capsys.readouterr().err


@pytest.mark.usefixtures("prefect_server")
def test_the_artifact_ends_where_the_stage_did() -> None:
    @flow
    def run() -> None:
        with Progress("progress-test") as progress:
            progress.start(0, 4, "rows")
            progress.reach(3)

    run()
    [artifact] = read_artifacts("progress-test")
    assert (json.loads(str(artifact.data)), (artifact.description or "")[:11]) == (75.0, "3 of 4 rows")


def read_artifacts(key: str) -> list[Artifact]:
    with get_client(sync_client=True) as client:
        return [artifact for artifact in client.read_artifacts() if artifact.key == key]


def test_a_prefect_server_that_is_away_stops_nothing(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "latentcrf")
    with temporary_settings({PREFECT_API_URL: "http://127.0.0.1:9/api"}):  # where nothing listens
        artifact = ProgressArtifact("progress-test", lambda: (50, "half"))
    artifact.end()
    assert "the progress is not in the Prefect UI: " in caplog.text
