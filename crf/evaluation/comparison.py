"""Run every method from the same noise, and time each alone."""

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
    """Run each method from the same noise; returns final latents (B, C, H, W) by key. A shared lead runs once."""
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
    """Seconds per image of each method, from noise to pixels: the methods take turns; the fastest of ``rounds``."""
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
