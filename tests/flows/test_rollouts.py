"""Distillation on roll-outs: teach stores what the CRF meets in a schedule, distill trains on it, and round again."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from crf import LatentCRFPipeline
from crf.model.config import LatentCRFConfig
from crf.model.latent_crf import LatentCRF
from flows.evaluation.methods import choose_own_methods
from flows.parameters.evaluation import EvaluateParameters
from flows.parameters.latents import TeachParameters
from flows.stage import StageResult, run_stage
from flows.teach import TEACH
from flows.training.crf_files import load_crf, save_crf
from storage import LatentStore, UserError
from tests.support.teachers import TEXT_WIDTH
from tests.support.training_jobs import distill_job, run_job

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


def test_a_crf_is_distilled_on_what_it_meets_and_meets_other_states_then(
    tiny_teacher: Path, tmp_path: Path, ray_local: None
) -> None:
    taught, initial = teach_rollout(tmp_path, tiny_teacher), make_initial(tmp_path)
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
