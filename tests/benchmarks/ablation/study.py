"""What every form is trained on, made once: natural latents for stage 1, pairs of each lead for stage 2."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from crf.sampling.paths import count_steps_before
from crf.schedule import TEACHER_STEPS, Schedule
from crf.training.pairs import aim_at_tail
from tests.benchmarks.ablation.forms import LEADS, TAIL
from tests.benchmarks.ablation.samples import Reached, Samples, load_teacher, run_leads, run_tails

Latents = dict[str, Tensor]


@dataclass(frozen=True)
class Study:
    """``natural``: latents and text for stage 1. ``pairs``: by lead; its state, x0, the targets and the text."""

    natural: Latents
    pairs: dict[str, Latents]


def make_study(natural: Latents, teacher_path: Path, guidance_scale: float, pairs: int) -> Study:
    """Run the training captions to the end of every lead, and to the teacher's own end."""
    teacher = load_teacher(teacher_path)
    starts = Samples.draw("images/train.parquet", pairs, 0).start(teacher, guidance_scale)
    steps = count_steps_before(teacher.noise_schedule, TAIL)
    whole = Schedule.parse(f"{steps}/{TEACHER_STEPS} + {TEACHER_STEPS - steps}/{TEACHER_STEPS}")
    before = run_leads(teacher, whole.first, starts)
    tail_BCHW, target_BCHW = stack_states(before), run_tails(teacher, whole, before, starts)
    text_BD = torch.cat([given.pooled_BD for _, given in starts])
    by_lead = {}
    for lead in LEADS:
        reached = run_leads(teacher, Schedule.parse_lead(lead), starts)
        state_BCHW, timestep = stack_states(reached), reached[0].timestep
        x0_BCHW = torch.cat([trajectory.x0 for trajectory in reached])
        aimed_BCHW = aim_at_tail(teacher.noise_schedule, state_BCHW, timestep, tail_BCHW, TAIL)
        targets = {"target": target_BCHW, "aimed": aimed_BCHW}
        by_lead[lead] = {"state": state_BCHW, "x0": x0_BCHW, "text": text_BD, **targets}
    return Study(natural, by_lead)


def stack_states(reached: Reached) -> Tensor:
    """Concatenate the states of all batches, (N, C, H, W)."""
    return torch.cat([trajectory.state for trajectory in reached])
