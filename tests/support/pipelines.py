"""LatentCRF pipelines around the tiny teachers."""

from typing import Any

import pytest
import torch

from crf.model.config import LatentCRFConfig
from crf.model.latent_crf import LatentCRF
from crf.sampling.family_pipelines import LatentCRFPipeline
from crf.schedule import Schedule
from tests.support.teachers import TINY

FAMILIES = pytest.mark.parametrize("family", list(TINY))
SHORT = Schedule.parse("3/4 + crf + 2/5")


def seeded(seed: int = 1) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def quiet(pipeline: Any) -> Any:
    """Turn a pipeline's progress bar off; return the pipeline."""
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def tiny_crf(pipeline: LatentCRFPipeline) -> LatentCRF:
    """Return an untrained CRF for the pipeline's teacher."""
    torch.manual_seed(0)
    width = pipeline.teacher.shape.text_width
    return LatentCRF(LatentCRFConfig(height=4, width=4, text_width=width, hidden=4, filters=4))


def with_crf(family: str, schedule: Schedule | None = SHORT) -> LatentCRFPipeline:
    """Return a tiny teacher's pipeline with an untrained CRF."""
    teacher = TINY[family]()
    crf = tiny_crf(LatentCRFPipeline.from_teacher(teacher))
    pipeline: LatentCRFPipeline = quiet(LatentCRFPipeline.from_teacher(teacher, crf, schedule))
    return pipeline
