"""An evaluation's artifacts in the Prefect UI."""

from pathlib import Path
from uuid import UUID

import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.runtime import flow_run

from crf.teacher.teacher import Teacher
from flows.report.artifacts import publish_report
from flows.report.page.drawing import draw_report
from storage import locations
from tests.support.hand_made_report import METHODS, make_report, make_samples


@pytest.mark.usefixtures("prefect_server")
def test_a_report_is_published_as_table_pictures_and_markdown(tiny_teacher: Path, tmp_path: Path) -> None:
    report = make_report()
    draw_report(str(tmp_path), report, make_samples(tmp_path / "samples"), Teacher.load(tiny_teacher), {})
    locations.write_json(str(tmp_path / "report.json"), report)

    @flow
    def run() -> str:
        publish_report(str(tmp_path))
        return str(flow_run.id)

    of_this_run = FlowRunFilter(id=FlowRunFilterId(any_=[UUID(run())]))
    with get_client(sync_client=True) as client:
        artifacts = {artifact.key: artifact for artifact in client.read_artifacts(flow_run_filter=of_this_run)}
    table, markdown = artifacts["evaluation-table"].data, artifacts["evaluation-report"].data
    assert all(label in str(table) for _, label, *_ in METHODS)
    assert report["protocol_id"] in str(markdown)
    for key in ("evaluation-pareto", "evaluation-contact-sheet"):
        assert str(artifacts[key].data).startswith("data:image/png;base64,")
