"""Run every contender from the same noise, and time each alone."""

import time
from collections.abc import Iterable

import torch
from torch import Tensor

from crf.contenders import Contender
from crf.model import LatentCRF
from crf.sampling import Trajectory, finish, lead
from crf.schedule import Schedule
from crf.teacher import Teacher


@torch.no_grad()
def compare(
    teacher: Teacher,
    crf: LatentCRF,
    captions: list[str],
    noise_BCHW: Tensor,
    guidance: float,
    rows: Iterable[Contender],
) -> dict[str, Tensor]:
    """Final latents (B, C, H, W) of each contender from the same noise; a common first part runs once."""
    given = teacher.condition(captions, guidance)
    leads: dict[Schedule, Trajectory] = {}
    results = {}
    for contender in rows:
        schedule = contender.schedule
        if schedule.first not in leads:
            leads[schedule.first] = lead(teacher, schedule, noise_BCHW, given)
        results[contender.key] = finish(teacher, schedule, leads[schedule.first], given, crf)
    return results


@torch.no_grad()
def seconds_per_image(
    teacher: Teacher,
    crf: LatentCRF,
    captions: list[str],
    guidance: float,
    size: int,
    rows: Iterable[Contender],
    rounds: int,
) -> dict[str, float]:
    """Each contender run whole and alone, noise to pixels, in turns; the fastest of ``rounds``."""
    noise_BCHW = torch.randn((len(captions), *teacher.latent_shape(size)))
    best: dict[str, float] = {}
    for _ in range(rounds):
        for contender in rows:
            start = time.perf_counter()
            given = teacher.condition(captions, guidance)
            reached = lead(teacher, contender.schedule, noise_BCHW, given)
            teacher.decode(finish(teacher, contender.schedule, reached, given, crf))
            seconds = (time.perf_counter() - start) / len(captions)
            best[contender.key] = min(seconds, best.get(contender.key, seconds))
    return best
