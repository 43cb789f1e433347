"""Captions with their noise, and the schedules that run from them."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Self

import torch
from torch import Tensor

from crf.noise import derive_seed, sample_noise
from crf.sampling.sampler import run_lead, run_tail
from crf.sampling.trajectory import Trajectory
from crf.schedule import Schedule
from crf.stages.captions import silence_truncation
from crf.teacher.families import Condition
from crf.teacher.teacher import Teacher
from storage.inputs.captions import scan_captions

DEMO = Path(__file__).parents[3] / "deploy/demo"
BATCH = 32
Starts = list[tuple[Tensor, Condition]]  # noise and condition of each batch
Reached = Sequence[Trajectory]  # where each batch stands


@dataclass(frozen=True)
class Samples:
    """Captions and the seed of each one's noise.

    A condition cannot be pickled, so each process makes its own from these.
    """

    captions: list[str]
    seeds: list[int]

    @classmethod
    def draw(cls, file: str, count: int, run_seed: int) -> Self:
        """Take the first captions of one of the demo's files."""
        rows = list(scan_captions(str(DEMO / file), count))
        return cls([row["caption"] for row in rows], [derive_seed(run_seed, row["id"]) for row in rows])

    @torch.no_grad()
    def start(self, teacher: Teacher, guidance_scale: float) -> Starts:
        """Return the noise and the condition of each batch."""
        noise_BCHW = sample_noise(self.seeds, teacher.latent_shape(teacher.default_size))
        captions = [self.captions[start : start + BATCH] for start in range(0, len(self.captions), BATCH)]
        conditions = [teacher.condition(batch, guidance_scale) for batch in captions]
        return list(zip(noise_BCHW.split(BATCH), conditions, strict=True))


@lru_cache(maxsize=1)
def load_teacher(path: Path) -> Teacher:
    """Load a teacher, once per process."""
    teacher = Teacher.load(path)
    silence_truncation(teacher)
    return teacher


@torch.no_grad()
def run_leads(teacher: Teacher, schedule: Schedule, starts: Starts) -> Reached:
    """Run a schedule's lead for each batch."""
    return [run_lead(teacher, schedule, noise_BCHW, given) for noise_BCHW, given in starts]


def run_tails(teacher: Teacher, schedule: Schedule, reached: Reached, starts: Starts) -> Tensor:
    """Run what follows a schedule's lead; return the final latents (N, C, H, W)."""
    conditions = [given for _, given in starts]
    return torch.cat([run_tail(teacher, schedule, *part) for part in zip(reached, conditions, strict=True)])
