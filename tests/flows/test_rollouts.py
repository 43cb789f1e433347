"""Distillation on roll-outs: teach stores what the CRF meets in a schedule, distill trains on it, and round again."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from crf import LatentCRFPipeline
from crf.errors import ScheduleError
from crf.model.config import LatentCRFConfig
from crf.model.latent_crf import LatentCRF
from flows.evaluation.methods import choose_own_methods, find_baseline
from flows.parameters.evaluation import EvaluateParameters
from flows.parameters.latents import TeachParameters
from flows.stage import StageResult, run_stage
from flows.teach import TEACH
from flows.training.crf_files import load_crf, save_crf
from storage import LatentStore, UserError, locations
from tests.support.teachers import TEXT_WIDTH
from tests.support.training_jobs import distill_job, kill_after_checkpoint, run_job

pytestmark = pytest.mark.usefixtures("ray_local")
SCHEDULE = "2@981,741 + crf + 2@501,261 + crf (dpm++)"


def teach_rollout(root: Path, teacher: Path, crf: str | None = None) -> StageResult:
    captions = root / "captions.txt"
    captions.write_text("".join(f"thing {number}\n" for number in range(8)))
    places = {"captions": str(captions), "teacher": str(teacher), "root": str(root)}
    params = TeachParameters(**places, shard_rows=8, rollout=SCHEDULE, rollout_crf=crf)
    return run_stage(TEACH, params, params.root)


def make_initial(root: Path) -> str:
    """A CRF before training, in the place of one that train made."""
    torch.manual_seed(0)
    shape: dict[str, Any] = {"height": 4, "width": 4, "text_width": TEXT_WIDTH, "hidden": 4, "filters": 8}
    config = LatentCRFConfig(**shape, crf_input="x0+state+previous+guidance", with_timesteps=True)
    url = str(root / "train" / "0123456789abcdef")
    save_crf(LatentCRF(config), url)
    return url


@pytest.fixture(scope="module")
def taught(tiny_teacher: Path, tmp_path_factory: pytest.TempPathFactory, ray_local: None) -> StageResult:
    return teach_rollout(tmp_path_factory.mktemp("taught"), tiny_teacher)


@pytest.mark.parametrize("way", ["rollout", "through"])
def test_killed_and_run_again_gives_the_same_bytes(
    way: str, taught: StageResult, tiny_teacher: Path, tmp_path: Path
) -> None:
    on_rollout: dict[str, Any] = {"observed": "rollout", "target": "next"}
    options = on_rollout if way == "rollout" else {"through": SCHEDULE, "teacher": str(tiny_teacher)}
    initial = make_initial(tmp_path)
    killed, undisturbed = (
        distill_job(
            tmp_path / name, taught.url, initial, steps=40, learning_rate=1e-2, checkpointing_steps=10, **options
        )
        for name in ("killed", "undisturbed")
    )
    kill_after_checkpoint(killed)
    again, whole = run_job(killed), run_job(undisturbed)
    assert again.fingerprint == whole.fingerprint
    for file in ("diffusion_pytorch_model.safetensors", "config.json", "losses.json"):
        assert (Path(again.url) / file).read_bytes() == (Path(whole.url) / file).read_bytes(), file
    assert load_crf(whole.url).settings.schedule == SCHEDULE
    losses = [step["mse"] for step in locations.read_json(f"{whole.url}/losses.json")]
    assert sum(losses[-10:]) < sum(losses[:10])


def test_what_cannot_be_trained_through_a_schedule_is_refused(
    taught: StageResult, tiny_teacher: Path, tmp_path: Path
) -> None:
    initial = make_initial(tmp_path)
    other = Path(shutil.copytree(tiny_teacher, tmp_path / "other"))
    [weights] = (other / "unet").glob("*.safetensors")
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x01")
    through = {"through": SCHEDULE, "teacher": str(other)}
    with pytest.raises(UserError, match=r"the teacher of the pairs, found one of another teacher\.unet"):
        run_job(distill_job(tmp_path, taught.url, initial, **through))
    with pytest.raises(ValidationError, match="expected a teacher with through alone"):
        distill_job(tmp_path, taught.url, initial, through=SCHEDULE)
    with pytest.raises(ValidationError, match="at most 1 worker with through, found 2"):
        distill_job(tmp_path, taught.url, initial, **through, workers=2)
    with pytest.raises(ValidationError, match="expected through without observed and target"):
        distill_job(tmp_path, taught.url, initial, **through, observed="rollout")


def test_a_crf_is_distilled_on_what_it_meets_and_meets_other_states_then(
    taught: StageResult, tiny_teacher: Path, tmp_path: Path
) -> None:
    initial = make_initial(tmp_path)
    store = LatentStore.open(taught.url)
    assert store["rollout_next"].shape == (8, 2, 4, 4, 8)
    assert store["rollout_gain"].shape == (8, 2)
    with pytest.raises(UserError, match="distill with --observed rollout"):
        run_job(distill_job(tmp_path, taught.url, initial))
    options = {"steps": 150, "learning_rate": 1e-2, "observed": "rollout", "target": "next"}
    distilled = run_job(distill_job(tmp_path, taught.url, initial, **options))
    crf = load_crf(distilled.url).eval()
    assert (crf.settings.schedule, crf.settings.lead) == (SCHEDULE, None)
    assert str(LatentCRFPipeline.from_teacher(tiny_teacher, crf).schedule) == SCHEDULE
    assert measure_next_state_error(store, crf) < 0.9 * measure_next_state_error(store, load_crf(initial).eval())
    again = teach_rollout(tmp_path, tiny_teacher, distilled.url)
    assert again.fingerprint != taught.fingerprint
    first, second = (LatentStore.open(each.url)["rollout_state"] for each in (taught, again))
    np.testing.assert_array_equal(first[:, 0], second[:, 0])  # before the first CRF
    assert not np.array_equal(first[:, 1], second[:, 1])
    end = run_job(distill_job(tmp_path, again.url, distilled.url, **{**options, "target": "step_50"}))
    assert load_crf(end.url).settings.schedule == SCHEDULE
    compared = {"teacher": str(tiny_teacher), "crf": end.url, "captions": "none", "images": "none"}
    methods = choose_own_methods(EvaluateParameters(**compared))
    assert [str(method.schedule) for method in methods if method.kind == "crf"] == [SCHEDULE]
    assert find_baseline(EvaluateParameters(**compared), methods) == "without_crf"
    planned = {**compared, "crf": f"{tmp_path}/distill/not-there-yet", "schedule": SCHEDULE}
    assert choose_own_methods(EvaluateParameters(**planned)) == methods
    with pytest.raises(ScheduleError, match="expected a CRF for the schedule"):
        choose_own_methods(EvaluateParameters(**{**planned, "crf": None}))


@torch.no_grad()
def measure_next_state_error(store: LatentStore, crf: LatentCRF) -> float:
    """The mean squared error of the state that each correction of a roll-out leads to."""
    total = 0.0
    for place, timesteps in enumerate([(741, 501), (261, -1)]):
        state, x0, previous, guidance, target = (
            torch.from_numpy(np.asarray(store[f"rollout_{name}"][:, place])).permute(0, 3, 1, 2).float()
            for name in ("state", "x0", "previous", "guidance", "next")
        )
        told, text = torch.tensor([timesteps] * 8).float(), torch.from_numpy(np.asarray(store["text"][:])).float()
        found = crf(state, text, x0, previous_BCHW=previous, guidance_BCHW=guidance, timesteps_B2=told)
        gain = float(np.asarray(store["rollout_gain"])[0, place])
        total += gain**2 * float((found - target).square().mean())
    return total
