"""What every form is trained on and compared by: pairs, and held-out captions' trajectories, made once."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from crf.evaluation.deepcache import with_cached_features
from crf.noise import sample_noise, sample_seed
from crf.sampling.sampler import Trajectory, finish, lead
from crf.schedule import Schedule
from crf.teacher.families import Condition
from crf.teacher.teacher import Teacher
from storage.inputs.captions import scan_captions
from tests.benchmarks.ablation.forms import BEFORE_PLACED, CACHED, FOLLOWING, LEADS, PLACED, SAMPLERS

DEMO = Path(__file__).parents[3] / "deploy/demo"
FULL = Schedule.parse("50/50")
BATCH = 32
Latents = dict[str, Tensor]
Reached = list[tuple[Trajectory, Condition]]


@dataclass(frozen=True)
class Sampled:
    """Captions with their noise: what any schedule starts from."""

    teacher: Teacher
    guidance_scale: float
    captions: list[str]
    noise_BCHW: Tensor

    @classmethod
    def draw(cls, teacher: Teacher, guidance_scale: float, file: str, count: int, run_seed: int) -> "Sampled":
        rows = list(scan_captions(str(DEMO / file), count))
        seeds = [sample_seed(run_seed, row["id"]) for row in rows]
        noise_BCHW = sample_noise(seeds, teacher.latent_shape(teacher.default_size))
        return cls(teacher, guidance_scale, [row["caption"] for row in rows], noise_BCHW)

    def given(self) -> list[tuple[Condition, Tensor]]:
        """Conditions and noise, a batch each."""
        starts = range(0, len(self.captions), BATCH)
        conditions = [
            self.teacher.condition(self.captions[start : start + BATCH], self.guidance_scale) for start in starts
        ]
        return list(zip(conditions, self.noise_BCHW.split(BATCH), strict=True))

    def reached(self, text: str) -> Reached:
        schedule = Schedule.parse_lead(text)
        return [(lead(self.teacher, schedule, noise, given), given) for given, noise in self.given()]

    def latents(self, schedule: Schedule) -> Tensor:
        """Where a schedule without a network ends."""
        reached = [(lead(self.teacher, schedule, noise, given), given) for given, noise in self.given()]
        return self.ended(schedule, reached)

    def ended(self, schedule: Schedule, reached: Reached) -> Tensor:
        """The same, from where its lead has come to."""
        return torch.cat([finish(self.teacher, schedule, *part) for part in reached])


@dataclass(frozen=True)
class Study:
    """``natural``: latents and text for stage 1. ``pairs``: by lead; its state, x0, the targets and the text.

    ``heldout``: by lead, where the held-out captions stand; ``full_BCHW``: where their 50 steps end.
    """

    natural: Latents
    pairs: dict[str, Latents]
    heldout: dict[str, Reached]
    full_BCHW: Tensor
    controls: list[dict[str, Any]]


@torch.no_grad()
def make_study(natural: Latents, guidance_scale: float, pairs: int, heldout: int) -> Study:
    teacher = Teacher.load(DEMO / "teacher")
    taught = Sampled.draw(teacher, guidance_scale, "images/train.parquet", pairs, 0)
    asked = Sampled.draw(teacher, guidance_scale, "images/heldout.parquet", heldout, 1)
    full_BCHW = asked.latents(FULL)
    before = taught.reached(f"{BEFORE_PLACED}/50")
    placed_BCHW = states(before)
    target_BCHW = taught.ended(Schedule.parse(f"{BEFORE_PLACED}/50 + {50 - BEFORE_PLACED}/50"), before)
    text_BD = torch.cat([given.pooled_BD for given, _ in taught.given()])
    by_lead = {}
    for text in LEADS:
        stands = taught.reached(text)
        state_BCHW, timestep = states(stands), stands[0][0].timestep
        x0_BCHW = torch.cat([trajectory.x0 for trajectory, _ in stands])
        at_placed = aimed(teacher, state_BCHW, timestep, placed_BCHW)
        by_lead[text] = {"state": state_BCHW, "x0": x0_BCHW, "target": target_BCHW, "aimed": at_placed, "text": text_BD}
    reached = {text: asked.reached(text) for text in LEADS}
    return Study(natural, by_lead, reached, full_BCHW, control_records(asked, reached, full_BCHW))


def states(reached: Reached) -> Tensor:
    return torch.cat([trajectory.state for trajectory, _ in reached])


def aimed(teacher: Teacher, state_BCHW: Tensor, timestep: float, placed_BCHW: Tensor) -> Tensor:
    """The clean latents that the hand-over "recomputed" takes to just the state ``placed_BCHW`` at PLACED.

    They are what a network should say that is followed by evaluations from there on: not where
    the trajectory ends, but what leads it back to the one of 50 steps.
    """

    def renoised(clean_BCHW: Tensor) -> Tensor:  # affine in the clean latents
        noise_BCHW = teacher.noise_schedule.noise(state_BCHW, clean_BCHW, timestep)
        return teacher.noise_schedule.step(clean_BCHW, noise_BCHW, PLACED)

    at_zero = renoised(torch.zeros_like(state_BCHW))
    return (placed_BCHW - at_zero) / (renoised(torch.ones_like(state_BCHW)) - at_zero)


def control_records(asked: Sampled, reached: dict[str, Reached], full_BCHW: Tensor) -> list[dict[str, Any]]:
    """What needs no network: the x0 prediction in the CRF's place, other samplers, DeepCache."""
    records = []
    samplers = {count: sampler_errors(asked, count, full_BCHW) for count in set(LEADS.values())}
    cached = {count: cached_error(asked, interval, full_BCHW) for count, interval in CACHED.items()}
    for lead_text, evaluations in LEADS.items():
        for name, following in FOLLOWING:
            schedule = Schedule.parse(f"{lead_text} + {following}")
            error = mse(asked.ended(schedule, reached[lead_text]), full_BCHW)
            records.append(record(lead_text, name, str(schedule), [error], schedule.evaluations))
        for (name, text), error in zip(SAMPLERS, samplers[evaluations], strict=True):
            records.append(record(lead_text, name, text.format(n=evaluations), [error], evaluations))
        if evaluations in CACHED:
            error, cost = cached[evaluations]
            records.append(record(lead_text, f"DeepCache, every {CACHED[evaluations]} steps", "50/50", [error], cost))
    return records


def sampler_errors(asked: Sampled, evaluations: int, full_BCHW: Tensor) -> list[float]:
    return [mse(asked.latents(Schedule.parse(text.format(n=evaluations))), full_BCHW) for _, text in SAMPLERS]


def cached_error(asked: Sampled, interval: int, full_BCHW: Tensor) -> tuple[float, int]:
    """-> latent MSE, and the cost in evaluations."""
    cached = replace(asked, teacher=with_cached_features(asked.teacher, interval))
    cost = 50 / interval + (50 - 50 / interval) * shallow_share(asked, interval)
    return mse(cached.latents(FULL), full_BCHW), round(cost)


def record(lead_text: str, name: str, ending: str, errors: list[float], cost: int, **more: Any) -> dict[str, Any]:
    """A row: ``lead_text`` is the group that it is compared in, ``cost`` the evaluations that it takes itself."""
    return {"lead": lead_text, "name": name, "ending": ending, "mse": errors, "cost": cost, **more}


def shallow_share(asked: Sampled, interval: int) -> float:
    """Of the U-Net's FLOPs, in a call that remembers the deep features."""
    cached = with_cached_features(asked.teacher, interval)
    given, flops = cached.condition(asked.captions[:1], asked.guidance_scale), []
    for _ in range(2):
        with FlopCounterMode(display=False) as counter:
            cached.guided_output(asked.noise_BCHW[:1], 501, given)
        flops.append(counter.get_total_flops())
    return flops[1] / flops[0]


def mse(found: Tensor, expected: Tensor) -> float:
    return float((found - expected).square().mean())
