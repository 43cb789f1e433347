import base64
import html
import io
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from prefect.client.orchestration import get_client

from crf.evaluation.methods import list_methods
from flows.commands.generate import side_by_side
from flows.parameters import PipelineParameters
from flows.pipeline import pipeline, plan, steps
from flows.progress import Progress
from flows.stage import find_work
from storage import LatentStore
from storage.store.verification import verify
from tests.storage.store.test_verification import contents
from tests.support.file_opens import count_opens

# The first test to ask for it waits for a whole pipeline, on half a machine.
pytestmark = [pytest.mark.usefixtures("ray_local", "prefect_server"), pytest.mark.timeout(600)]
STAGES = ["encode", "teach", "train", "distill", "evaluate"]
LEAD = "31@981..201"
ROWS = list_methods(LEAD)


@pytest.fixture(scope="module")
def params(tiny_teacher: Path, tmp_path_factory: pytest.TempPathFactory) -> PipelineParameters:
    folder = tmp_path_factory.mktemp("pipeline")
    (folder / "images").mkdir()
    for number in range(8):
        Image.new("RGB", (40, 40), (30 * number, 90, 200)).save(folder / f"images/plain-{number}.png")
    (folder / "captions.txt").write_text("".join(f"thing {number}\n" for number in range(6)))
    teacher = shutil.copytree(tiny_teacher, folder / "teacher")
    return PipelineParameters.model_validate(
        {
            "teacher": str(teacher),
            "images": str(folder / "images"),
            "captions": str(folder / "captions.txt"),
            "heldout_images": str(folder / "images"),
            "heldout_captions": str(folder / "captions.txt"),
            "root": str(folder / "runs"),
            "encode": {"shard_rows": 4},
            "teach": {"shard_rows": 4},
            "train": {"crf": {"hidden": 4, "filters": 4}, "steps": 3, "batch_size": 4, "lr_warmup_steps": 1},
            "distill": {"steps": 3, "batch_size": 4, "lr_warmup_steps": 1, "workers": 0},
            "evaluate": {"limit": 2, "noises": 2, "shard_rows": 4, "lead": LEAD},
        }
    )


@pytest.fixture(scope="module")
def first(params: PipelineParameters, ray_local: None, prefect_server: None) -> list[Any]:
    return pipeline(params)


def states(params: PipelineParameters) -> dict[str, str]:
    return {line.stage: line.state for line in plan(params)}


def newest_states() -> dict[str, str]:
    """Flow name -> name of the state of its newest run, as the Prefect UI shows it."""
    with get_client(sync_client=True) as client:
        flows = {flow.id: flow.name for flow in client.read_flows()}
        runs = sorted(client.read_flow_runs(limit=100), key=lambda run: run.start_time or run.created)
        return {flows[run.flow_id]: run.state_name for run in runs}


def test_all_stages_run_and_a_second_run_is_cached(first: list[Any], params: PipelineParameters) -> None:
    assert [(result.stage, result.state) for result in first] == [(stage, "computed") for stage in STAGES]
    assert states(params) == dict.fromkeys(STAGES, "fresh")
    assert newest_states() == {**dict.fromkeys(STAGES, "Completed"), "pipeline": "Completed"}
    with count_opens(Path(params.images)) as opens:
        again = pipeline(params)
    assert opens == {}, "unchanged images are listed, not read"
    assert [result.state for result in again] == ["cached"] * 5
    assert [result.fingerprint for result in again] == [result.fingerprint for result in first]
    assert newest_states() == {**dict.fromkeys(STAGES, "Cached"), "pipeline": "Completed"}


def test_a_changed_unet_makes_stale_what_depends_on_it(first: list[Any], params: PipelineParameters) -> None:
    weights = next((Path(params.teacher) / "unet").glob("*.safetensors"))
    original = weights.read_bytes()
    weights.write_bytes(original[:-1] + bytes([original[-1] ^ 1]))
    try:
        lines = {line.stage: line for line in plan(params)}
    finally:
        weights.write_bytes(original)
    assert {name: line.state for name, line in lines.items()} == {
        "encode": "fresh",
        "teach": "stale",
        "train": "fresh",
        "distill": "stale",
        "evaluate": "stale",
    }
    assert lines["teach"].reason == "changed: teacher.unet"
    assert lines["distill"].reason == "changed: teach"
    assert lines["evaluate"].reason == "changed: distill, teacher.unet"
    assert states(params) == dict.fromkeys(STAGES, "fresh")


def test_one_changed_option_names_itself(first: list[Any], params: PipelineParameters) -> None:
    changed = params.model_copy(update={"distill": params.distill.model_copy(update={"learning_rate": 0.5})})
    lines = {line.stage: (line.state, line.reason) for line in plan(changed)}
    assert lines["train"] == ("fresh", "sealed")
    assert lines["distill"] == ("stale", "changed: learning_rate")


def test_other_real_images_leave_the_samples_as_they_are(
    first: list[Any], params: PipelineParameters, tmp_path: Path
) -> None:
    Image.new("RGB", (40, 40), "red").save(tmp_path / "plain.png")
    *_, line = plan(params.model_copy(update={"heldout_images": str(tmp_path)}))
    assert (line.state, line.done, line.total) == ("partial", 1, 1)
    assert line.reason == f"changed: images; 1 of 1 shards can be copied from {first[-1].url}"


def test_the_report_has_every_row_and_stands_alone(first: list[Any]) -> None:
    url = Path(first[-1].url)
    report = json.loads((url / "report.json").read_text())
    assert [row["key"] for row in report["rows"]] == [method.key for method in ROWS]
    full = report["rows"][0]
    assert full["distance_to_teacher"] == pytest.approx(0, abs=1e-6)
    assert full["latent_mse"] == 0
    assert all(row["seconds_per_image"] > 0 and 1 <= row["vendi"] <= 2 for row in report["rows"])
    assert "EfficientNet-Lite0" in report["features"]
    page = html.unescape((url / "report.html").read_text())
    assert all(method.label in page for method in ROWS)
    embedded = [part.split('"')[0] for part in page.split("data:image/png;base64,")[1:]]
    assert len(embedded) == 2
    assert all(Image.open(io.BytesIO(base64.b64decode(part))).size[0] > 100 for part in embedded)
    assert 'src="http' not in page


def test_a_driver_that_was_measuring_while_another_sealed_changes_nothing(
    first: list[Any], params: PipelineParameters
) -> None:
    """Its times are others, but it is the report of the one that was first that counts."""
    *_, evaluate = steps(params)
    before = contents(Path(first[-1].url))
    with Progress("evaluate", 0, 1) as progress:
        evaluate.stage.compute(evaluate.params, find_work(evaluate.stage, evaluate.params, params.root), progress)
    assert contents(Path(first[-1].url)) == before
    assert verify(first[-1].url) == []


def test_the_report_is_in_the_prefect_ui(first: list[Any]) -> None:
    with get_client(sync_client=True) as client:
        artifacts = client.read_artifacts()
    kinds = {artifact.key: artifact.type for artifact in artifacts}
    assert kinds["evaluation-table"] == "table"
    assert kinds["evaluation-contact-sheet"] == kinds["evaluation-plots"] == "image"
    assert kinds["evaluation-report"] == "markdown"
    assert kinds["train-losses"] == kinds["distill-losses"] == "image"
    assert {kinds[stage] for stage in STAGES} == {"progress"}
    rows = json.loads(next(a.data for a in artifacts if a.key == "evaluation-table"))
    assert len(rows) == len(ROWS)


def test_stores_carry_their_provenance(first: list[Any]) -> None:
    store = LatentStore.open(first[1].url)
    assert store.provenance["fingerprint"] == first[1].fingerprint
    assert store.provenance["inputs"]["teacher.unet"]
    assert store.provenance["software"]["torch"]


def test_generate_draws_teacher_and_crf_side_by_side(
    first: list[Any], params: PipelineParameters, tmp_path: Path
) -> None:
    output = tmp_path / "new/apple.png"
    record = side_by_side("a red apple", params.teacher, None, f"{LEAD} + crf", str(output), params.root, 0, 7.5)
    with Image.open(output) as picture:
        assert picture.size == (64, 32)
    assert record["schedule"] == f"{LEAD} + crf"
    assert record["teacher_seconds"] > record["crf_seconds"] > 0
