"""LatentCRF: the model, its teacher, its training and its evaluation. Needs torch and diffusers, but no engine."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from crf.front import Front
    from crf.model.config import LatentCRFConfig
    from crf.model.latent_crf import LatentCRF
    from crf.sampling.family_pipelines import LatentCRFPipeline
    from crf.schedule import Schedule
    from crf.teacher.teacher import Teacher

__all__ = ["Front", "LatentCRF", "LatentCRFConfig", "LatentCRFPipeline", "Schedule", "Teacher"]

HOMES = {
    "Front": "crf.front",
    "LatentCRF": "crf.model.latent_crf",
    "LatentCRFConfig": "crf.model.config",
    "LatentCRFPipeline": "crf.sampling.family_pipelines",
    "Schedule": "crf.schedule",
    "Teacher": "crf.teacher.teacher",
}


def __getattr__(name: str) -> Any:
    """Import a public name on first use: torch and diffusers take seconds to import, and planning needs neither."""
    if name not in HOMES:
        raise AttributeError(f"module 'crf' has no attribute {name!r}")
    return getattr(importlib.import_module(HOMES[name]), name)
