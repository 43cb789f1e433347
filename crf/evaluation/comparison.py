"""Sample with every method from the same noise, and measure how long each takes."""

import time
from collections.abc import Iterable

import torch
from torch import Tensor

from crf.device import synchronize
from crf.evaluation.methods import Method
from crf.model.latent_crf import LatentCRF
from crf.sampling.sampler import Trajectory, run_lead, run_tail
from crf.schedule import Schedule
from crf.teacher.teacher import Teacher


@torch.no_grad()
def compare(
    teacher: Teacher,
    crf: LatentCRF,
    captions: list[str],
    noise_BCHW: Tensor,
    guidance_scale: float,
    methods: Iterable[Method],
) -> dict[str, Tensor]:
    """Sample with each method from the same noise. Methods with the same lead share its evaluations.

    Args:
        teacher: The teacher.
        crf: A CRF for this teacher.
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


@torch.no_grad()
def time_methods(
    teacher: Teacher,
    crf: LatentCRF,
    captions: list[str],
    guidance_scale: float,
    size: int,
    methods: Iterable[Method],
    rounds: int,
) -> dict[str, float]:
    """Measure each method's seconds per image, from noise to pixels, in batches of ``len(captions)`` images.

    The methods take turns, so that other load on the machine affects all of them alike.

    Args:
        teacher: The teacher.
        crf: A CRF for this teacher.
        captions: The captions of one batch.
        guidance_scale: Scale of classifier-free guidance; 1 or less for none.
        size: Pixels per side.
        methods: The methods to time.
        rounds: Number of measurements per method; the fastest counts.

    Returns:
        Seconds per image by the method's key.
    """
    noise_BCHW = torch.randn((len(captions), *teacher.latent_shape(size)))
    best: dict[str, float] = {}
    for _ in range(rounds):
        for method in methods:
            synchronize()
            start = time.perf_counter()
            given = teacher.condition(captions, guidance_scale)
            reached = run_lead(teacher, method.schedule, noise_BCHW, given)
            teacher.decode(run_tail(teacher, method.schedule, reached, given, crf))
            synchronize()
            seconds = (time.perf_counter() - start) / len(captions)
            best[method.key] = min(seconds, best.get(method.key, seconds))
    return best
