"""The held-out captions, on which every method is measured, and what their errors are measured to."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor

from crf.evaluation.methods import CONVERGED, FULL, REFERENCE, make_converged
from crf.schedule import Schedule
from tests.benchmarks.ablation.forms import LEADS
from tests.benchmarks.ablation.samples import Reached, Samples, Starts, load_teacher, run_leads, run_tails

Errors = dict[str, list[float]]  # reference -> one error per caption


@dataclass(frozen=True)
class HeldOut:
    """The held-out captions, where each lead takes them, and the latents that errors are measured to.

    ``references``: the latents (N, C, H, W) of the teacher's 50 steps and of the converged reference.
    """

    teacher: Path
    guidance_scale: float
    samples: Samples
    reached: dict[str, Reached]
    references: dict[str, Tensor]

    def measure(self, ends_BCHW: Tensor) -> Errors:
        """Compute each caption's latent MSE to each reference, to 4 significant digits."""
        return {name: measure_each(ends_BCHW, reference) for name, reference in self.references.items()}


def measure_each(found_BCHW: Tensor, expected_BCHW: Tensor) -> list[float]:
    """Compute the mean squared difference of each row, to 4 significant digits."""
    errors_B = (found_BCHW - expected_BCHW).square().flatten(1).mean(1)
    return [float(f"{error:.4g}") for error in errors_B.tolist()]


def make_heldout(teacher_path: Path, guidance_scale: float, count: int) -> HeldOut:
    """Run the references and every lead."""
    teacher = load_teacher(teacher_path)
    samples = Samples.draw("images/heldout.parquet", count, 1)
    starts = samples.start(teacher, guidance_scale)
    schedules = {REFERENCE: FULL, CONVERGED: make_converged(teacher.noise_schedule)}
    references = {
        name: run_tails(teacher, schedule, run_leads(teacher, schedule, starts), starts)
        for name, schedule in schedules.items()
    }
    reached = {lead: run_leads(teacher, Schedule.parse_lead(lead), starts) for lead in LEADS}
    return HeldOut(teacher_path, guidance_scale, samples, reached, references)


@lru_cache(maxsize=1)
def load_heldout(file: Path) -> tuple[HeldOut, Starts]:
    """Load the held-out captions and make their conditions, once per process."""
    heldout: HeldOut = torch.load(file, weights_only=False)  # its own file, just written
    return heldout, heldout.samples.start(load_teacher(heldout.teacher), heldout.guidance_scale)


def measure_control(file: Path, text: str) -> Errors:
    """Measure a schedule without a network, in a process of its own on one core."""
    torch.set_num_threads(1)
    heldout, starts = load_heldout(file)
    teacher, schedule = load_teacher(heldout.teacher), Schedule.parse(text)
    reached = heldout.reached.get(str(schedule.first)) or run_leads(teacher, schedule, starts)
    return heldout.measure(run_tails(teacher, schedule, reached, starts))
