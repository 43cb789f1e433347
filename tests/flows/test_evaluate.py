"""An evaluation without a CRF: samplers, a front and given schedules, on one actor and on two."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from crf.errors import ScheduleError
from crf.teacher.folder import fingerprint_teacher
from flows.evaluate import EVALUATE, describe_reference
from flows.evaluation.methods import choose_methods
from flows.evaluation.reference import REFERENCE
from flows.evaluation.sampling import sample_methods
from flows.parameters.evaluation import EvaluateParameters
from flows.parameters.running import Resources
from flows.progress import Progress
from flows.stage import StageResult, find_work, plan_stage, run_stage
from storage import LatentStore
from storage.errors import UserError
from tests.support.fronts import make_front

pytestmark = pytest.mark.usefixtures("ray_local")


@pytest.fixture(scope="module")
def params(tiny_teacher: Path, drawings: Path, tmp_path_factory: pytest.TempPathFactory) -> EvaluateParameters:
    folder = tmp_path_factory.mktemp("evaluate")
    (folder / "captions.txt").write_text("".join(f"a drawing of thing {number}\n" for number in range(6)))
    front = folder / "search/0123"
    front.mkdir(parents=True)
    (front / "schedule.json").write_text(make_front(teacher=fingerprint_teacher(tiny_teacher)).format())
    return EvaluateParameters(
        captions=str(folder / "captions.txt"),
        images=str(drawings),
        teacher=str(tiny_teacher),
        root=str(folder / "runs"),
        front=str(front),
        lead="3@981..201",
        schedules=("6/6", "50/50"),
        vendi_captions=1,
        vendi_noises=3,
        shard_rows=16,
        micro_batch=4,
    )


@pytest.fixture(scope="module")
def evaluated(params: EvaluateParameters, ray_local: None) -> StageResult:
    return run_stage(EVALUATE, params, params.root)


@pytest.fixture(scope="module")
def report(evaluated: StageResult) -> dict[str, Any]:
    return dict(json.loads((Path(evaluated.url) / "report.json").read_text()))


def test_a_front_of_another_teacher_is_rejected(params: EvaluateParameters, tmp_path: Path) -> None:
    (tmp_path / "schedule.json").write_text(make_front().format())
    other = params.model_copy(update={"front": str(tmp_path / "schedule.json")})
    with pytest.raises(UserError, match="expected a front of this teacher, found one of another unet"):
        EVALUATE.check(other)


def test_samplers_the_front_and_given_schedules_are_compared(report: dict[str, Any]) -> None:
    kinds = {row["kind"] for row in report["rows"]}
    assert "crf" not in kinds
    assert {"reference", "control", "sampler", "front", "floor"} <= kinds
    by_schedule = {row["schedule"]: row for row in report["rows"] if row["kind"] == "front"}
    assert set(by_schedule) == {point.schedule for point in make_front().points}
    assert [row["kind"] for row in report["rows"] if row["schedule"] == "6/6"] == ["sampler"]
    assert [row["key"] for row in report["rows"] if row["schedule"] == "50/50"] == ["full_50", "other_noises"]
    assert report["subject"]["crf"] is None
    assert report["subject"]["front"] == "0123"
    assert report["seen_captions"] == "none"
    assert (report["captions"], report["samples"]) == (6, 8)


def test_the_table_is_of_the_stored_errors(evaluated: StageResult, report: dict[str, Any]) -> None:
    store = LatentStore.open(evaluated.url)
    row = next(row for row in report["rows"] if row["key"] == "ddim")
    errors = np.asarray(store["latent_mse_ddim"][:], np.float64)
    assert store.index["id"].to_pylist()[:4] == ["0", "0/noise-1", "0/noise-2", "1"]
    means = np.array([errors[:3].mean(), *errors[3:]])
    logs = np.log(errors)
    assert row["latent_mse"]["mean"] == pytest.approx(means.mean())
    assert row["latent_mse"]["geometric_mean"] == pytest.approx(np.exp(np.mean([logs[:3].mean(), *logs[3:]])))
    half = 2.570582 * means.std(ddof=1) / np.sqrt(6)
    assert row["latent_mse"]["high"] - row["latent_mse"]["mean"] == pytest.approx(half, rel=1e-5)


def test_every_comparison_is_with_the_baseline(report: dict[str, Any]) -> None:
    assert {found["baseline"] for found in report["comparisons"]} == {report["baseline"]}
    compared = {found["key"] for found in report["comparisons"]}
    assert compared == {r["key"] for r in report["rows"] if r["kind"] not in ("reference", "floor")} - {
        report["baseline"]
    }
    for found in report["comparisons"]:
        assert found["low"] <= found["ratio"] <= found["high"]
        assert found["p"] <= found["p_holm"] <= 1
        assert found["significant"] == (found["p_holm"] < 0.05)


def test_a_number_that_would_mean_nothing_is_null(report: dict[str, Any]) -> None:
    full, floor = report["rows"][0], report["rows"][-1]
    assert [full[name] for name in ("latent_mse", "psnr", "feature_distance")] == [None] * 3
    assert full["distance_to_real"]["difference"] is None
    assert {row["precision"] for row in report["rows"]} == {None}, "fewer than 1,000 samples"
    assert {row["clip_score"] for row in report["rows"]} == {None}, "the features have no text encoder"
    assert floor["key"] == "other_noises"
    assert floor["psnr"] is None
    assert floor["latent_mse"]["low"] is None, "one caption has several noises"


def test_two_actors_and_other_shards_give_the_same_bytes(evaluated: StageResult, params: EvaluateParameters) -> None:
    changes = {"shard_rows": 3, "root": f"{params.root}/two", "resources": Resources(actors=2)}
    other = params.model_copy(update=changes)
    work = find_work(EVALUATE, other, other.root)
    with Progress("evaluate") as progress:
        sampled, _ = sample_methods(other, work, choose_methods(other), progress)
    stores = [LatentStore.open(evaluated.url), sampled]
    assert [store.shard_count for store in stores] == [1, 3]
    for name in stores[0].names:
        first, second = (np.asarray(store[name][:]).tobytes() for store in stores)
        assert first == second, name


def test_the_real_images_features_are_kept_for_the_next_evaluation(
    evaluated: StageResult, params: EvaluateParameters
) -> None:
    work = find_work(REFERENCE, describe_reference(params), params.root)
    assert work.sealed
    store = LatentStore.open(work.url)
    assert np.isfinite(np.asarray(store["features"][:])).all()
    assert find_work(EVALUATE, params, params.root).identity.inputs["reference"] == work.identity.fingerprint


@pytest.mark.parametrize("change", [{"baseline": "ddim"}, {"noises": 1, "vendi_captions": 1}])
def test_what_only_the_report_depends_on_leaves_the_samples(
    evaluated: StageResult, params: EvaluateParameters, change: dict[str, Any]
) -> None:
    line = plan_stage(EVALUATE, params.model_copy(update=change), params.root)
    assert line.done == line.total


def test_bad_parameters_are_named(params: EvaluateParameters, tmp_path: Path) -> None:
    for change, error, words in (
        ({"baseline": "none"}, UserError, "the key of a method that is compared, found none; choose among full_50, "),
        ({"schedules": ("3/4 + crf",)}, ScheduleError, "a CRF for the schedule '3/4 [+] crf', found none; give --crf"),
        ({"schedules": ("nonsense",)}, ScheduleError, "a schedule, found 'nonsense'"),
        ({"features": str(tmp_path / "none")}, UserError, "a transformers folder or a TorchScript file, found nothing"),
    ):
        with pytest.raises(error, match=words):
            EVALUATE.identify(params.model_copy(update=change))
    with pytest.raises(UserError, match=r"the output of search .*, found none"):
        EVALUATE.check(params.model_copy(update={"front": str(tmp_path)}))
