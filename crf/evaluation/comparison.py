"""Sample with every method from the same noise, and compare each result with the teacher's own."""

from collections.abc import Iterable

import torch
from torch import Tensor

from crf.evaluation.methods import Method
from crf.model.latent_crf import LatentCRF
from crf.sampling.sampler import Trajectory, run_lead, run_tail
from crf.schedule import Schedule
from crf.teacher.teacher import Teacher

MOST_DECIBELS = 100.0
"""PSNR of equal images."""


@torch.no_grad()
def compare(
    teacher: Teacher,
    crf: LatentCRF | None,
    captions: list[str],
    noise_BCHW: Tensor,
    guidance_scale: float,
    methods: Iterable[Method],
) -> dict[str, Tensor]:
    """Sample with each method from the same noise. Methods with the same lead share its evaluations.

    Args:
        teacher: The teacher.
        crf: A CRF for this teacher, if a method needs one.
        captions: B captions.
        noise_BCHW: Initial noise, (B, C, H, W).
        guidance_scale: Scale of classifier-free guidance; 1 or less for none.
        methods: The methods to compare.

    Returns:
        Final latents (B, C, H, W) by the method's key.
    """
    given = teacher.condition(captions, guidance_scale)
    leads: dict[Schedule, Trajectory] = {}
    results = {}
    for method in methods:
        schedule = method.schedule
        if schedule.first not in leads:
            leads[schedule.first] = run_lead(teacher, schedule, noise_BCHW, given)
        results[method.key] = run_tail(teacher, schedule, leads[schedule.first], given, crf)
    return results


def compute_squared_error(a_BCHW: Tensor, b_BCHW: Tensor) -> Tensor:
    """Compute the mean squared error of each sample's latents or pixels, (B,)."""
    return (a_BCHW.float() - b_BCHW.float()).square().mean((1, 2, 3))


def compute_psnr(a_BCHW: Tensor, b_BCHW: Tensor) -> Tensor:
    """Compute the peak signal-to-noise ratio of images in [-1, 1] in dB, (B,). Equal images have MOST_DECIBELS."""
    ratio_B = compute_squared_error(a_BCHW, b_BCHW) / 4  # the squared range from -1 to 1
    return (-10 * torch.log10(ratio_B)).clamp(max=MOST_DECIBELS)


def compute_feature_distance(a_BD: Tensor, b_BD: Tensor) -> Tensor:
    """Compute the squared Euclidean distance of each sample's features, (B,)."""
    return (a_BD - b_BD).square().sum(1)
