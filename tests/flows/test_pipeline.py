import base64
import html
import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey
from prefect.client.schemas.sorting import ArtifactSort, FlowRunSort

from crf.evaluation.methods import list_methods
from crf.teacher.ddim import DiffusionSchedule
from flows.commands.generate import draw_side_by_side
from flows.evaluate import EVALUATE
from flows.parameters.latents import TeachOptions
from flows.parameters.pipeline import PipelineParameters
from flows.parameters.training import DistillOptions
from flows.pipeline import choose_steps, list_steps, pipeline, plan, plan_stages
from flows.progress import Progress
from flows.stage import find_work, run_stage
from flows.teach import TEACH
from storage import LatentStore, UserError
from storage.store.verification import verify
from tests.support.file_opens import count_opens
from tests.support.small_pipelines import LEAD, TAIL, make_small_pipeline
from tests.support.stores import read_objects
from tests.support.teachers import ddim

pytestmark = pytest.mark.usefixtures("ray_local", "prefect_server")
STAGES = ["encode", "teach", "train", "distill", "evaluate"]
ROWS = list_methods(LEAD, DiffusionSchedule(ddim("epsilon").config), TAIL)


@pytest.fixture(scope="module")
def params(tiny_teacher: Path, tmp_path_factory: pytest.TempPathFactory) -> PipelineParameters:
    made = make_small_pipeline(tmp_path_factory.mktemp("pipeline"), tiny_teacher)
    in_process = made.distill.model_copy(update={"workers": 0})  # train has a worker of Ray Train
    return made.model_copy(update={"distill": in_process})


@pytest.fixture(scope="module")
def first(params: PipelineParameters, ray_local: None, prefect_server: None) -> list[Any]:
    return pipeline(params)


def states(params: PipelineParameters) -> dict[str, str]:
    return {line.stage: line.state for line in plan_stages(params)}


def newest_states() -> dict[str, str]:
    """Flow name -> name of the state of its newest run, as the Prefect UI shows it."""
    with get_client(sync_client=True) as client:
        flows = {flow.id: flow.name for flow in client.read_flows()}
        runs = client.read_flow_runs(sort=FlowRunSort.START_TIME_ASC)
        named = {flows[run.flow_id]: run.state_name or "" for run in runs}
    return {name: state for name, state in named.items() if name in (*STAGES, "pipeline")}  # not those of other tests


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
        lines = {line.stage: line for line in plan_stages(params)}
    finally:
        weights.write_bytes(original)
    assert {name: line.state for name, line in lines.items()} == {
        "encode": "fresh",
        "teach": "stale",
        "train": "fresh",
        "distill": "stale",
        "evaluate": "stale",
    }
    changed = r"\w{4} → \w{4}"
    assert re.fullmatch(rf"changed: teacher.unet {changed}", lines["teach"].reason)
    assert re.fullmatch(rf"changed: teach {changed}", lines["distill"].reason)
    assert re.fullmatch(rf"changed: distill {changed}, teacher.unet {changed}", lines["evaluate"].reason)
    estimate = lines["teach"].estimate
    assert estimate
    assert estimate.rows == 6
    taught = LatentStore.open(first[1].url)
    assert estimate.bytes == sum(taught[name].nbytes for name in (*taught.names, "valid", "seed"))
    assert estimate.device_seconds
    assert lines["encode"].estimate is lines["distill"].estimate is None
    assert states(params) == dict.fromkeys(STAGES, "fresh")


def test_the_plan_is_a_flow_of_its_own_which_runs_no_stage(first: list[Any], params: PipelineParameters) -> None:
    changed = params.model_copy(update={"teach": params.teach.model_copy(update={"seed": 9})})
    assert [(line.stage, line.state) for line in plan(changed)][:2] == [("encode", "fresh"), ("teach", "stale")]
    with get_client(sync_client=True) as client:
        plans = ArtifactFilter(key=ArtifactFilterKey(any_=["plan"]))
        [newest] = client.read_artifacts(artifact_filter=plans, sort=ArtifactSort.CREATED_DESC, limit=1)
    told = {line["stage"]: line for line in json.loads(str(newest.data))}
    assert told["teach"]["why"] == f"changed: seed {params.teach.seed} → 9"
    assert re.fullmatch(r"6 rows, \d+.*iB, .* of a device", told["teach"]["to make"])
    assert not find_work(TEACH, list_steps(changed)[1].params, changed.root).sealed


def test_only_chosen_stages_run_and_a_missing_input_is_named(first: list[Any], params: PipelineParameters) -> None:
    alone = pipeline(params.model_copy(update={"stages": ("train",)}))
    assert [(result.stage, result.state) for result in alone] == [("train", "cached")]
    other = params.model_copy(update={"teach": params.teach.model_copy(update={"seed": 5}), "stages": ("distill",)})
    with pytest.raises(UserError, match="a sealed output of teach, which is left out"):
        choose_steps(list_steps(other), other)


def test_runs_are_named_and_show_their_plan_and_lineage(first: list[Any], params: PipelineParameters) -> None:
    with get_client(sync_client=True) as client:
        names = {run.name for run in client.read_flow_runs()}
        artifacts = {artifact.key: artifact for artifact in client.read_artifacts()}
    assert f"teach · {first[1].fingerprint[:4]} · 6 captions" in names
    assert "pipeline · encode, teach, train, distill, evaluate" in names
    assert artifacts["plan"].type == "table"
    assert "lineage" in artifacts


def test_a_stage_of_its_own_shows_what_its_output_was_made_from(first: list[Any], params: PipelineParameters) -> None:
    step = next(step for step in list_steps(params) if step.stage.name == "distill")
    step.subflow(step.params)
    with get_client(sync_client=True) as client:
        lineages = ArtifactFilter(key=ArtifactFilterKey(any_=["lineage"]))
        [newest] = client.read_artifacts(artifact_filter=lineages, sort=ArtifactSort.CREATED_DESC, limit=1)
    rows = str(newest.data).splitlines()[-4:]
    assert {row.split(" | ")[0] for row in rows} == {f"| {stage}" for stage in STAGES[:4]}


def test_one_changed_option_names_itself(first: list[Any], params: PipelineParameters) -> None:
    changed = params.model_copy(update={"distill": params.distill.model_copy(update={"learning_rate": 0.5})})
    lines = {line.stage: (line.state, line.reason) for line in plan_stages(changed)}
    assert lines["train"] == ("fresh", "sealed")
    assert lines["distill"] == ("stale", f"changed: learning_rate {params.distill.learning_rate} → 0.5")


def test_other_real_images_leave_the_samples_as_they_are(
    first: list[Any], params: PipelineParameters, tmp_path: Path
) -> None:
    Image.new("RGB", (40, 40), "red").save(tmp_path / "plain.png")
    *_, line = plan_stages(params.model_copy(update={"heldout_images": str(tmp_path)}))
    assert (line.state, line.done, line.total) == ("partial", 1, 1)
    copied = f"1 of 1 shards can be copied from {first[-1].url}"
    assert re.fullmatch(rf"changed: images \w{{4}} → \w{{4}}, reference \w{{4}} → \w{{4}}; {copied}", line.reason)


def test_evaluated_alone_on_the_finished_crf_it_is_the_same(first: list[Any], params: PipelineParameters) -> None:
    *_, step = list_steps(params)
    assert (step.params.lead, step.params.tail) == (LEAD, TAIL)
    alone = step.params.model_copy(update={"lead": None, "tail": None})
    assert find_work(EVALUATE, alone, params.root).identity.fingerprint == first[-1].fingerprint
    other = alone.model_copy(update={"lead": "31/40"})
    with pytest.raises(UserError, match=f"the lead {LEAD}, which the CRF was distilled on, found 31/40"):
        find_work(EVALUATE, other, params.root)
    ignoring = other.model_copy(update={"ignore_mismatched_lead": True})
    assert find_work(EVALUATE, ignoring, params.root).identity.fingerprint != first[-1].fingerprint


def test_without_a_lead_the_papers_is_evaluated(params: PipelineParameters) -> None:
    papers = params.model_copy(update={"teach": TeachOptions(), "distill": DistillOptions()})
    *_, step = list_steps(papers)
    assert (step.params.lead, step.params.tail) == ("31/40", None)


def test_a_crf_inside_a_schedule_is_evaluated_there(params: PipelineParameters) -> None:
    schedule = "2@981,501 + crf"
    inside = params.model_copy(update={"teach": TeachOptions(), "distill": DistillOptions(through=schedule)})
    *_, distilled, evaluated = list_steps(inside)
    assert (distilled.params.teacher, evaluated.params.schedule) == (params.teacher, schedule)
    rollout = TeachOptions(rollout=schedule)
    met = params.model_copy(update={"teach": rollout, "distill": DistillOptions(observed="rollout", target="next")})
    *_, distilled, evaluated = list_steps(met)
    assert (distilled.params.teacher, evaluated.params.schedule) == (None, schedule)


def test_a_stage_1_crf_is_rejected_before_anything_is_computed(first: list[Any], params: PipelineParameters) -> None:
    *_, step = list_steps(params)
    stage_1 = step.params.model_copy(update={"crf": first[2].url, "lead": None, "tail": None})
    with pytest.raises(
        UserError, match=r"a stage-2 CRF, made by distill, found an output of train at .*; run latentcrf"
    ):
        run_stage(EVALUATE, stage_1, params.root)
    assert not Path(find_work(EVALUATE, stage_1, params.root).url, "zarr.json").exists()


def test_the_report_has_every_row_and_stands_alone(first: list[Any]) -> None:
    url = Path(first[-1].url)
    report = json.loads((url / "report.json").read_text())
    assert [row["key"] for row in report["rows"]] == [*(method.key for method in ROWS), "other_noises"]
    full, *others, floor = report["rows"]
    assert [full[error] for error in ("latent_mse", "psnr", "feature_distance")] == [None] * 3
    assert all(row["latent_mse"]["low"] < row["latent_mse"]["mean"] < row["latent_mse"]["high"] for row in others)
    assert all(row["seconds"]["low"] <= row["seconds"]["median"] <= row["seconds"]["high"] for row in others)
    assert all(1 <= row["vendi"]["mean"] <= 2 for row in (full, *others))
    assert floor["latent_mse"]["mean"] > 0
    assert (report["version"], report["captions"], report["samples"]) == (2, 3, 5)
    assert report["truncated_captions"] == 1
    assert report["seen_captions"] == "none"
    assert report["subject"]["crf"] == first[3].fingerprint
    compared = {row["key"] for row in others if row["kind"] != "floor"} - {report["baseline"]}
    assert {found["key"] for found in report["comparisons"]} == compared
    assert "EfficientNet-Lite0" in report["protocol"]["features"]["name"]
    assert all(row["distance_to_real"]["low"] <= row["distance_to_real"]["high"] for row in others)
    page = html.unescape((url / "report.html").read_text())
    assert all(method.label in page for method in ROWS)
    embedded = re.findall(r"data:image/webp;base64,([^\"]+)", page)
    assert len(embedded) > len(ROWS)
    assert all(Image.open(io.BytesIO(base64.b64decode(part))).size[0] > 0 for part in embedded)
    assert 'src="http' not in page


def test_a_driver_that_was_measuring_while_another_sealed_changes_nothing(
    first: list[Any], params: PipelineParameters
) -> None:
    """Its times are others, but it is the report of the one that was first that counts."""
    *_, evaluate = list_steps(params)
    before = read_objects(first[-1].url)
    with Progress("evaluate") as progress:
        evaluate.stage.compute(evaluate.params, find_work(evaluate.stage, evaluate.params, params.root), progress)
    assert read_objects(first[-1].url) == before
    assert verify(first[-1].url) == []


def test_the_report_is_in_the_prefect_ui(first: list[Any]) -> None:
    with get_client(sync_client=True) as client:
        artifacts = client.read_artifacts()
    kinds = {artifact.key: artifact.type for artifact in artifacts}
    assert kinds["evaluation-table"] == "table"
    assert kinds["evaluation-contact-sheet"] == kinds["evaluation-pareto"] == "image"
    assert kinds["evaluation-report"] == "markdown"
    assert kinds["train-losses"] == kinds["distill-losses"] == "image"
    assert {kinds[stage] for stage in STAGES} == {"progress"}
    tables = [artifact.data for artifact in artifacts if artifact.key == "evaluation-table"]  # also other tests'
    assert len(ROWS) + 1 in {len(json.loads(str(table))) for table in tables}


def test_truncated_captions_are_counted(first: list[Any], params: PipelineParameters) -> None:
    counts = {result.stage: result.truncated for result in first}
    assert counts == {"encode": 0, "teach": 1, "train": None, "distill": None, "evaluate": 1}


def test_stores_carry_their_provenance(first: list[Any]) -> None:
    store = LatentStore.open(first[1].url)
    assert store.provenance["fingerprint"] == first[1].fingerprint
    assert store.provenance["inputs"]["teacher.unet"]
    assert store.provenance["software"]["torch"]


def test_generate_draws_teacher_and_crf_side_by_side(
    first: list[Any], params: PipelineParameters, tmp_path: Path
) -> None:
    output = tmp_path / "new/apple.png"
    record = draw_side_by_side("a red apple", params.teacher, None, f"{LEAD} + crf", str(output), params.root, 0, 7.5)
    with Image.open(output) as picture:
        assert picture.size == (64, 32)
    assert record["schedule"] == f"{LEAD} + crf"
    assert min(record["teacher_seconds"], record["seconds"]) > 0


def test_generate_runs_what_the_crf_was_distilled_for(
    first: list[Any], params: PipelineParameters, tmp_path: Path
) -> None:
    def draw(schedule: str | None, **more: bool) -> str:
        output = str(tmp_path / "apple.png")
        record = draw_side_by_side(
            "an apple", params.teacher, first[3].url, schedule, output, params.root, 0, 7.5, **more
        )
        return str(record["schedule"])

    assert draw(None) == f"{LEAD} + crf + 2@{TAIL},21 (recomputed)"
    with pytest.raises(UserError, match=f"the lead {LEAD}, which the CRF was distilled on, found 3/4"):
        draw("3/4 + crf")
    assert draw("3/4 + crf", ignore_mismatched_lead=True) == "3/4 + crf"
