"""The teacher's own trajectories, kept in a file so that experiments share them, and the errors of what is tried."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from crf.metrics.per_sample import compute_squared_errors
from crf.noise import sample_noise
from crf.sampling.paths import find_lead_path
from crf.sampling.sampler import run_schedules
from crf.sampling.trajectory import follow
from crf.schedule import TEACHER_STEPS, Schedule
from crf.statistics.comparisons import compare_errors
from crf.statistics.intervals import summarize_errors
from crf.teacher.families import Condition
from crf.teacher.teacher import Teacher
from tests.benchmarks.ablation.samples import Samples

GUIDANCE = 4.0
FILES = {"train": "images/captions.txt", "calibrate": "images/calibrate.txt", "test": "images/heldout.parquet"}
FIRST_SEED = {"train": 0, "calibrate": 1, "test": 1}  # as in evaluate, for what is held out
Errors = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Trajectories:
    """Captions, the seeds of their noises, and the teacher's 51 states from each: float32 (N, 51, C, H, W)."""

    captions: list[str]
    seeds: list[int]
    states: Tensor

    @classmethod
    def draw(cls, teacher: Teacher, name: str, captions: int, noises: int, folder: Path) -> "Trajectories":
        """Run the teacher's 50 steps for the first captions of a set with so many noises each, or read them again."""
        file = folder / f"{name}-{captions}x{noises}.pt"
        if not file.exists():
            first = FIRST_SEED[name]
            parts = [Samples.draw(FILES[name], captions, run) for run in range(first, first + noises)]
            states = [follow_all(teacher, part) for part in parts]
            folder.mkdir(parents=True, exist_ok=True)
            joined = [caption for part in parts for caption in part.captions]
            torch.save((joined, [seed for part in parts for seed in part.seeds], torch.cat(states)), file)
        return cls(*torch.load(file))

    @property
    def ends(self) -> Tensor:
        """The final latents, float32 (N, C, H, W)."""
        return self.states[:, -1]

    def start(self, teacher: Teacher, rows: list[int]) -> tuple[Tensor, Condition]:
        """Return the noise and the condition of some rows."""
        noise_BCHW = sample_noise([self.seeds[row] for row in rows], teacher.latent_shape(teacher.default_size))
        return noise_BCHW, teacher.condition([self.captions[row] for row in rows], GUIDANCE)

    def split(self, size: int = 32) -> list[list[int]]:
        """Split the rows into batches."""
        rows = list(range(len(self.seeds)))
        return [rows[first : first + size] for first in range(0, len(rows), size)]


@torch.no_grad()
def follow_all(teacher: Teacher, samples: Samples) -> Tensor:
    """Follow the teacher's own 50 steps; return the 51 states of each."""
    path, states = teacher.noise_schedule.path(TEACHER_STEPS), []
    for noise_BCHW, given in samples.start(teacher, GUIDANCE):
        reached = [noise_BCHW]

        def keep(_: float, state: Tensor, reached: list[Tensor] = reached) -> Tensor:
            reached.append(state)
            return state

        follow(teacher, noise_BCHW, path, given, keep)
        states.append(torch.stack(reached, 1))
    return torch.cat(states)


def write_out(teacher: Teacher, schedule: Schedule) -> Schedule:
    """Write a schedule's timesteps out."""
    timesteps = tuple(timestep for timestep, _ in find_lead_path(teacher.noise_schedule, schedule))
    return Schedule(schedule.lead, lead_timesteps=timesteps, solver=schedule.solver)


@torch.no_grad()
def measure(teacher: Teacher, held: Trajectories, run: Callable[[Tensor, Condition], Tensor]) -> Errors:
    """Compute the latent MSE of what ``run`` makes of each noise and condition, to the teacher's own end."""
    errors = []
    for rows in held.split():
        errors.append(compute_squared_errors(run(*held.start(teacher, rows)), held.ends[rows]))
    return np.concatenate(errors)


def measure_schedule(teacher: Teacher, held: Trajectories, schedule: Schedule, network: Any = None) -> Errors:
    """Compute the latent MSE of a schedule, with a network in the CRF's places if it has any."""
    return measure(teacher, held, lambda noise, given: next(run_schedules(teacher, [schedule], noise, given, network)))


def tell(what: dict[str, Any], errors: Errors, base: Errors) -> None:
    """Print a JSON line: mean, geometric mean and interval, and the paired ratio to the base."""
    labels = np.arange(len(errors))
    told = {"ratio": asdict(compare_errors(errors, base, labels)), **asdict(summarize_errors(errors, labels))}
    print(json.dumps({**what, **told}), flush=True)
