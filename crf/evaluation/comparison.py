"""Run every contender from the same noise, and time each alone."""

import time
from collections.abc import Iterable

import torch
from torch import Tensor

from crf.evaluation.methods import Method
from crf.model.latent_crf import LatentCRF
from crf.sampling.sampler import Trajectory, finish, lead
from crf.schedule import Schedule
from crf.teacher.teacher import Teacher


@torch.no_grad()
def compare(
    teacher: Teacher,
    crf: LatentCRF,
    captions: list[str],
    noise_BCHW: Tensor,
    guidance_scale: float,
    rows: Iterable[Method],
) -> dict[str, Tensor]:
    """Final latents (B, C, H, W) of each contender from the same noise; a common first part runs once."""
    given = teacher.condition(captions, guidance_scale)
    leads: dict[Schedule, Trajectory] = {}
    results = {}
    for method in rows:
        schedule = method.schedule
        if schedule.first not in leads:
            leads[schedule.first] = lead(teacher, schedule, noise_BCHW, given)
        results[method.key] = finish(teacher, schedule, leads[schedule.first], given, crf)
    return results


@torch.no_grad()
def seconds_per_image(
    teacher: Teacher,
    crf: LatentCRF,
    captions: list[str],
    guidance_scale: float,
    size: int,
    rows: Iterable[Method],
    rounds: int,
) -> dict[str, float]:
    """Each contender run whole and alone, noise to pixels, in turns; the fastest of ``rounds``."""
    noise_BCHW = torch.randn((len(captions), *teacher.latent_shape(size)))
    best: dict[str, float] = {}
    for _ in range(rounds):
        for method in rows:
            start = time.perf_counter()
            given = teacher.condition(captions, guidance_scale)
            reached = lead(teacher, method.schedule, noise_BCHW, given)
            teacher.decode(finish(teacher, method.schedule, reached, given, crf))
            seconds = (time.perf_counter() - start) / len(captions)
            best[method.key] = min(seconds, best.get(method.key, seconds))
    return best
