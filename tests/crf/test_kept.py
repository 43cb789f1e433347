"""What version 0.1 wrote opens and gives the same numbers: a CRF, a pipeline and a training checkpoint."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from crf import LatentCRF, LatentCRFPipeline
from crf.sampling.family_pipelines import StableDiffusionLatentCRFPipeline
from crf.training.pairs import Pairs
from crf.training.trainer import Trainer, TrainerConfig

KEPT = Path(__file__).parent / "kept/v0.1"
EXPECTED = np.load(KEPT / "expected.npz")


def pairs(step: int) -> Pairs:
    generator = torch.Generator().manual_seed(step)
    shapes = ((4, 8, 4, 4), (4, 8, 4, 4), (4, 16), (4, 8, 4, 4))
    z, target, text, x0 = (torch.randn(*shape, generator=generator) for shape in shapes)
    return Pairs(z, target, text, x0, torch.arange(4))


def test_a_crf() -> None:
    crf = LatentCRF.from_pretrained(KEPT / "crf").eval()
    given = pairs(9)
    with torch.no_grad():
        inferred = crf(given.z_BCHW, given.text_BD, given.x0_BCHW)
    np.testing.assert_allclose(inferred.numpy(), EXPECTED["inferred"], rtol=1e-5, atol=1e-6)


def test_a_pipeline() -> None:
    pipeline = StableDiffusionLatentCRFPipeline.from_pretrained(KEPT / "pipeline")
    assert isinstance(pipeline, LatentCRFPipeline)
    pipeline.set_progress_bar_config(disable=True)
    latents = pipeline("a red apple", generator=torch.Generator().manual_seed(0), output_type="latent").images
    np.testing.assert_allclose(latents.numpy(), EXPECTED["latents"], rtol=1e-4, atol=1e-5)


def test_a_checkpoint() -> None:
    """The two steps that follow it have the losses that they had."""
    settings = LatentCRF.from_pretrained(KEPT / "crf").settings
    trainer = Trainer(
        LatentCRF(settings), TrainerConfig(steps=4, learning_rate=1e-2, lr_warmup_steps=1, adversarial_weight=0.1)
    )
    trainer.load_state_dict(torch.load(KEPT / "checkpoint/state.pt", weights_only=True))
    assert trainer.steps_done == 2
    for step, expected in zip((2, 3), json.loads((KEPT / "expected.json").read_text())["figures"], strict=True):
        assert trainer.step(pairs(step)) == pytest.approx(expected, rel=1e-4)
