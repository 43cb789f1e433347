import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from crf.noise import sample_noise
from crf.sampling.trajectory import follow
from crf.teacher.teacher import Teacher
from flows.parameters.latents import TeachParameters
from flows.stage import StageResult, plan_stage, run_stage
from flows.teach import TEACH
from storage import LatentStore
from tests.support.stores import read_content

pytestmark = pytest.mark.usefixtures("ray_local")


def parameters(captions: Path, teacher: Path, root: Path, **more: int) -> TeachParameters:
    return TeachParameters(captions=str(captions), teacher=str(teacher), root=str(root), shard_rows=4, **more)


@pytest.fixture(scope="module")
def captions_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("captions") / "many.txt"
    file.write_text("".join(f"thing {number}\n" for number in range(24)))
    return file


@pytest.fixture(scope="module")
def taught(
    captions_file: Path, tiny_teacher: Path, tmp_path_factory: pytest.TempPathFactory, ray_local: None
) -> StageResult:
    params = parameters(captions_file, tiny_teacher, tmp_path_factory.mktemp("runs"))
    return run_stage(TEACH, params, params.root)


def test_rows_are_trajectories_of_their_own_seeds(taught: StageResult, tiny_teacher: Path) -> None:
    store = LatentStore.open(taught.url)
    assert (len(store), store.names) == (24, ["step_40", "step_50", "text", "truncated"])
    teacher = Teacher.load(tiny_teacher)
    noise = sample_noise([int(np.asarray(store["seed"])[17])], (8, 4, 4))
    given = teacher.condition(["thing 17"], 7.5)
    path = teacher.noise_schedule.path(50)
    for name, steps in (("step_40", 40), ("step_50", 50)):
        expected = follow(teacher, noise, path[:steps], given).state
        stored = torch.from_numpy(np.asarray(store[name][17])).permute(2, 0, 1)[None].float()
        torch.testing.assert_close(stored, expected, rtol=5e-3, atol=5e-3)
    assert store.provenance["timesteps"][:2] == [981, 961]
    assert store.provenance["parameters"]["guidance_scale"] == 7.5


def test_ended_before_the_seal_and_run_again_only_seals(
    taught: StageResult, captions_file: Path, tiny_teacher: Path, tmp_path: Path
) -> None:
    params = parameters(captions_file, tiny_teacher, tmp_path)
    copy = Path(shutil.copytree(taught.url, tmp_path / "teach" / taught.fingerprint))
    (copy / "manifest.json").unlink()
    plan = plan_stage(TEACH, params, params.root)
    assert (plan.state, plan.reason) == ("partial", "6 of 6 shards are done")
    assert run_stage(TEACH, params, params.root).state == "computed"
    assert read_content(copy) == read_content(taught.url)


def test_a_set_that_grew_computes_only_its_new_shards(
    taught: StageResult, captions_file: Path, tiny_teacher: Path, tmp_path: Path
) -> None:
    """And gives, to the byte, what was computed from nothing."""
    smaller = parameters(captions_file, tiny_teacher, Path(taught.url).parent.parent, limit=20)
    older = run_stage(TEACH, smaller, smaller.root)  # all of it is copied
    params = parameters(captions_file, tiny_teacher, tmp_path)
    copy = shutil.copytree(older.url, tmp_path / "teach" / older.fingerprint)
    plan = plan_stage(TEACH, params, params.root)
    assert (plan.state, plan.done, plan.total) == ("partial", 5, 6)
    assert re.sub(r"\w{4} → \w{4}", "…", plan.reason) == f"changed: captions …; 5 of 6 shards can be copied from {copy}"
    result = run_stage(TEACH, params, params.root)
    assert read_content(result.url) == read_content(taught.url)
    records = [json.loads(file.read_text()) for file in sorted(Path(result.url).glob("commits/0*.json"))]
    assert ["copied_from" in record for record in records] == [True] * 5 + [False]
