"""The science: LatentCRF, its teacher, its training and its evaluation. Knows torch and diffusers only."""

from crf.model import LatentCRF, LatentCRFConfig
from crf.pipeline import LatentCRFPipeline
from crf.schedule import Schedule
from crf.teacher import Teacher

__all__ = ["LatentCRF", "LatentCRFConfig", "LatentCRFPipeline", "Schedule", "Teacher"]
