"""The schedules that an evaluation compares: the paper's rows, and the controls that it lacks."""

import time
from dataclasses import dataclass

import torch
from torch import Tensor

from crf.model import LatentCRF
from crf.sampling import Trajectory, condition, finish, lead
from crf.schedule import Schedule
from crf.teacher import Teacher


@dataclass(frozen=True)
class Contender:
    """A row of the table. ``key`` names its arrays in the store of samples."""

    key: str
    label: str
    schedule: Schedule


CONTENDERS = (
    Contender("full_50", "full 50", Schedule.parse("50/50")),
    Contender("crf_2", "31 + CRF + 2", Schedule.parse("31/40 + crf + 2/50")),
    Contender("crf_2_consistent", "31 + CRF + 2, consistent", Schedule.parse("31/40 + crf + 2/50", "consistent")),
    Contender("crf_0", "31 + CRF + 0", Schedule.parse("31/40 + crf")),
    Contender("none_2", "31 + 0 + 2", Schedule.parse("31/40 + 2/50")),
    Contender("none_0", "31 + 0 + 0", Schedule.parse("31/40")),
    Contender("ddim_33", "33-step DDIM", Schedule.parse("33/33")),
    Contender("jump_2", "31 + scheduled jump (2)", Schedule.parse("31/40 + 2@201,21")),
    Contender("x0", "31st step's own x0", Schedule.parse("31/40 + x0")),
)
REFERENCE = "full_50"


@torch.no_grad()
def compare(
    teacher: Teacher, crf: LatentCRF, captions: list[str], noise_BCHW: Tensor, guidance: float
) -> dict[str, Tensor]:
    """Final latents (B, C, H, W) of each contender from the same noise; a common first part runs once."""
    given = condition(teacher, captions, guidance)
    leads: dict[tuple[int, int], Trajectory] = {}
    results = {}
    for contender in CONTENDERS:
        first = (contender.schedule.lead, contender.schedule.lead_of)
        if first not in leads:
            leads[first] = lead(teacher, contender.schedule, noise_BCHW, given)
        results[contender.key] = finish(teacher, contender.schedule, leads[first], given, crf)
    return results


@torch.no_grad()
def seconds_per_image(
    teacher: Teacher, crf: LatentCRF, captions: list[str], guidance: float, size: int, rounds: int
) -> dict[str, float]:
    """Each contender run whole and alone, noise to pixels, in turns; the fastest of ``rounds``."""
    noise_BCHW = torch.randn((len(captions), *teacher.latent_shape(size)))
    best: dict[str, float] = {}
    for _ in range(rounds):
        for contender in CONTENDERS:
            start = time.perf_counter()
            given = condition(teacher, captions, guidance)
            reached = lead(teacher, contender.schedule, noise_BCHW, given)
            teacher.decode(finish(teacher, contender.schedule, reached, given, crf))
            seconds = (time.perf_counter() - start) / len(captions)
            best[contender.key] = min(seconds, best.get(contender.key, seconds))
    return best
