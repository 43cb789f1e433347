import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from crf.front import Front
from crf.sampling.family_pipelines import LatentCRFPipeline
from crf.schedule import Schedule
from flows.parameters.latents import TeachParameters
from flows.parameters.searching import SearchParameters
from flows.search import SEARCH
from flows.stage import StageResult, plan_stage, run_stage
from flows.teach import TEACH
from storage import Identity, LatentStore, UserError
from storage.outputs import find_outputs
from tests.support.pipelines import quiet, seeded
from tests.support.teachers import TINY, save_pipeline
from tests.support.training_jobs import write_training_store
from tests.support.without_ray import run_without_ray

pytestmark = pytest.mark.usefixtures("ray_local")
EVALUATIONS = [4, 2]
SETS = {"train": 4, "calibrate": 5, "select": 3, "test": 3}


@pytest.fixture(scope="module")
def caption_files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("captions")
    for name, count in SETS.items():
        (folder / f"{name}.txt").write_text("".join(f"{name} thing {number}\n" for number in range(count)))
    return {name: str(folder / f"{name}.txt") for name in SETS}


def teach(caption_files: dict[str, str], teacher: Path, root: Path, trajectory: str) -> str:
    params = TeachParameters(
        captions=caption_files["train"], teacher=str(teacher), root=str(root), trajectory=trajectory
    )
    return run_without_ray(TEACH, params).url


def parameters(caption_files: dict[str, str], teacher: Path, root: Path, trajectories: str) -> SearchParameters:
    sets = {name: caption_files[name] for name in ("calibrate", "select", "test")}
    where = {"teacher": str(teacher), "root": str(root), "trajectories": trajectories}
    return SearchParameters(**sets, **where, evaluations=EVALUATIONS, first_captions=2, micro_batch=4)


# tests/crf/search/test_families.py runs every candidate on the other families, without Ray.
OTHERS = [pytest.param(family, marks=pytest.mark.slow) for family in ("sdxl", "sd3")]


@pytest.fixture(scope="module", params=["sd", *OTHERS])
def searched(
    request: pytest.FixtureRequest,
    caption_files: dict[str, str],
    tmp_path_factory: pytest.TempPathFactory,
    ray_local: None,
) -> tuple[SearchParameters, StageResult]:
    root = tmp_path_factory.mktemp("search")
    save_pipeline(TINY[request.param](), root / "teacher")
    trajectory = "states" if request.param == "sdxl" else "products"
    url = teach(caption_files, root / "teacher", root, trajectory)
    params = parameters(caption_files, root / "teacher", root, url)
    return params, run_stage(SEARCH, params, params.root)


def test_the_front_holds_a_schedule_for_each_number(searched: tuple[SearchParameters, StageResult]) -> None:
    params, result = searched
    front = Front.read(Path(result.url) / "schedule.json")
    assert [point.evaluations for point in front.points] == EVALUATIONS
    record = json.loads((Path(result.url) / "search.json").read_text())
    assert record["summary"]
    assert record["captions"] == SETS["test"]
    tested = [row for row in record["rows"] if row["kind"] == "front"]
    assert {row["schedule"] for row in tested} == {point.schedule for point in front.points}
    rivals = [row for row in record["rows"] if row["kind"] != "front"]
    assert {"ddim, even", "ddim, dynamic programming"} <= {row["family"] for row in rivals}
    assert all(row["latent_mse"]["mean"] > 0 for row in record["rows"][1:])
    assert all(each["p"] <= each["p_holm"] for each in record["comparisons"])
    assert {each["baseline"] for each in record["comparisons"]} == {point.schedule for point in front.points}
    assert [each["key"] for each in record["to_floor"]] == [point.schedule for point in front.points]
    assert -1 <= record["kendall_tau"] <= 1
    # Found again, not searched again.
    assert run_stage(SEARCH, params, params.root).state == "cached"
    assert plan_stage(SEARCH, params, params.root).state == "fresh"
    found = next(each for each in find_outputs(params.root) if each.identity.stage == "search")
    assert found.sealed


def test_its_errors_are_those_of_the_pipeline(searched: tuple[SearchParameters, StageResult]) -> None:
    """A front's schedule, run by ``LatentCRFPipeline`` from the stored seed, ends where the search measured."""
    params, result = searched
    front = Front.read(Path(result.url) / "schedule.json")
    record = json.loads((Path(result.url) / "search.json").read_text())
    store = LatentStore.open(record["measured"]["test"])
    schedules = store.provenance["parameters"]["schedules"]
    pipeline = quiet(LatentCRFPipeline.from_teacher(params.teacher, schedule=front))
    caption, seed = store.index["caption"].to_pylist()[1], int(np.asarray(store["seed"])[1])

    def draw(**more: int) -> torch.Tensor:
        return pipeline(caption, generator=seeded(seed), output_type="latent", **more).images

    pipeline.schedule = Schedule.parse("50/50")
    full = draw()
    for point in front.points:
        expected = np.asarray(store["latent_mse"])[1, schedules.index(point.schedule)]
        error = (draw(num_inference_steps=point.evaluations) - full).square().mean()
        assert float(error) == pytest.approx(float(expected), rel=1e-2)


def search_otherwise(searched: tuple[SearchParameters, StageResult], **changes: Any) -> None:
    """Search with other parameters."""
    params, _ = searched
    run_stage(SEARCH, params.model_copy(update=changes), params.root)


def test_sets_that_share_a_caption_are_rejected(
    searched: tuple[SearchParameters, StageResult], caption_files: dict[str, str]
) -> None:
    with pytest.raises(UserError, match=r"expected different captions in trajectories and select, found 4 in both"):
        search_otherwise(searched, select=caption_files["train"])


def test_too_few_calibration_captions_are_rejected(searched: tuple[SearchParameters, StageResult]) -> None:
    with pytest.raises(UserError, match="expected more calibration captions than the 2 of the first round, found 2"):
        search_otherwise(searched, calibrate_limit=2)


def test_other_trajectories_are_rejected(searched: tuple[SearchParameters, StageResult], tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"expected guidance_scale 7\.5, as the trajectories have, found 3\.0"):
        search_otherwise(searched, guidance_scale=3.0)
    save_pipeline(TINY["sd_v"](), tmp_path / "other")
    with pytest.raises(UserError, match="expected the trajectories of this teacher"):
        search_otherwise(searched, teacher=str(tmp_path / "other"))
    without = Identity("teach", 1, {}, {})
    without.write(str(tmp_path))
    write_training_store(without.url(str(tmp_path)), ["step_40", "step_50"])
    with pytest.raises(UserError, match="run teach --trajectory products"):
        search_otherwise(searched, trajectories=without.url(str(tmp_path)))
