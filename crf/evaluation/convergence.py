"""Measure how the CRF's mean-field updates converge (the paper's Fig. A.2)."""

from itertools import pairwise

import torch
from torch import Tensor

from crf.model.latent_crf import LatentCRF
from crf.sampling.paths import find_next_timestep
from crf.sampling.sampler import run_lead
from crf.sampling.trajectory import infer
from crf.schedule import Schedule
from crf.teacher.teacher import Teacher


@torch.no_grad()
def measure_convergence(
    teacher: Teacher,
    crf: LatentCRF,
    schedule: Schedule,
    captions: list[str],
    noise_BCHW: Tensor,
    guidance_scale: float,
    iterations: int = 10,
) -> Tensor:
    """Measure how far each of the CRF's updates moves the field, at the state that the schedule's lead reaches.

    Args:
        teacher: The teacher.
        crf: A CRF for this teacher.
        schedule: Its lead is run.
        captions: B captions.
        noise_BCHW: Initial noise, (B, C, H, W).
        guidance_scale: Scale of classifier-free guidance; 1 or less for none.
        iterations: Number of updates K. Default 10; it may exceed the number that the CRF was trained with.

    Returns:
        Mean absolute change of the field by each update, (B, K).
    """
    given = teacher.condition(captions, guidance_scale)
    reached = run_lead(teacher, schedule.first, noise_BCHW, given, crf=crf)
    seen = reached.observe(find_next_timestep(teacher.noise_schedule, schedule))
    fields = [infer(crf, seen, given, count) for count in range(iterations + 1)]
    changes = [(after - before).abs().mean((1, 2, 3)) for before, after in pairwise(fields)]
    return torch.stack(changes, 1).cpu()
