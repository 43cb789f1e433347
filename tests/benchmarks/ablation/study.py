"""What every form is trained on and compared by: pairs, and held-out captions' trajectories, made once."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from crf.evaluation.methods import list_every_method
from crf.noise import derive_seed, sample_noise
from crf.sampling.deepcache import cache_features
from crf.sampling.paths import count_steps_before
from crf.sampling.sampler import Trajectory, run_lead, run_tail
from crf.schedule import Schedule
from crf.teacher.families import Condition
from crf.teacher.teacher import Teacher
from crf.training.pairs import aim_at_tail
from storage.inputs.captions import scan_captions
from tests.benchmarks.ablation.forms import CACHED, LEADS, TAIL

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
        seeds = [derive_seed(run_seed, row["id"]) for row in rows]
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
        return [(run_lead(self.teacher, schedule, noise, given), given) for given, noise in self.given()]

    def latents(self, schedule: Schedule) -> Tensor:
        """Where a schedule without a network ends."""
        reached = [(run_lead(self.teacher, schedule, noise, given), given) for given, noise in self.given()]
        return self.ended(schedule, reached)

    def ended(self, schedule: Schedule, reached: Reached) -> Tensor:
        """The same, from where its lead has come to."""
        return torch.cat([run_tail(self.teacher, schedule, *part) for part in reached])


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
    steps = count_steps_before(teacher.noise_schedule, TAIL)
    before = taught.reached(f"{steps}/50")
    tail_BCHW = stack_states(before)
    target_BCHW = taught.ended(Schedule.parse(f"{steps}/50 + {50 - steps}/50"), before)
    text_BD = torch.cat([given.pooled_BD for given, _ in taught.given()])
    by_lead = {}
    for text in LEADS:
        stands = taught.reached(text)
        state_BCHW, timestep = stack_states(stands), stands[0][0].timestep
        x0_BCHW = torch.cat([trajectory.x0 for trajectory, _ in stands])
        aimed_BCHW = aim_at_tail(teacher.noise_schedule, state_BCHW, timestep, tail_BCHW, TAIL)
        targets = {"target": target_BCHW, "aimed": aimed_BCHW}
        by_lead[text] = {"state": state_BCHW, "x0": x0_BCHW, "text": text_BD, **targets}
    reached = {text: asked.reached(text) for text in LEADS}
    return Study(natural, by_lead, reached, full_BCHW, control_records(asked, reached, full_BCHW))


def stack_states(reached: Reached) -> Tensor:
    """The states of all batches, (N, C, H, W)."""
    return torch.cat([trajectory.state for trajectory, _ in reached])


def control_records(asked: Sampled, reached: dict[str, Reached], full_BCHW: Tensor) -> list[dict[str, Any]]:
    """What needs no network: the x0 prediction in place of the CRF, other samplers, DeepCache."""
    records = []
    samplers: dict[Schedule, float] = {}  # the same for leads of the same length
    cached = {count: cached_error(asked, interval, full_BCHW) for count, interval in CACHED.items()}
    for lead_text, evaluations in LEADS.items():
        for method in list_every_method(lead_text, asked.teacher.noise_schedule):
            schedule = method.schedule
            if method.kind == "control" and method.key != "none_0":
                error = mse(asked.ended(schedule, reached[lead_text]), full_BCHW)
            elif method.kind == "sampler":
                if schedule not in samplers:
                    samplers[schedule] = mse(asked.latents(schedule), full_BCHW)
                error = samplers[schedule]
            else:
                continue
            records.append(record(lead_text, method.label, str(schedule), [error], schedule.evaluations))
        if evaluations in CACHED:
            error, cost = cached[evaluations]
            records.append(record(lead_text, f"DeepCache, every {CACHED[evaluations]} steps", "50/50", [error], cost))
    return records


def cached_error(asked: Sampled, interval: int, full_BCHW: Tensor) -> tuple[float, int]:
    """-> latent MSE, and the cost in evaluations."""
    cached = replace(asked, teacher=cache_features(asked.teacher, interval))
    cost = 50 / interval + (50 - 50 / interval) * shallow_share(asked, interval)
    return mse(cached.latents(FULL), full_BCHW), round(cost)


def record(lead_text: str, name: str, ending: str, errors: list[float], cost: int, **more: Any) -> dict[str, Any]:
    """A row: ``lead_text`` is the group that it is compared in, ``cost`` the evaluations that it takes itself."""
    return {"lead": lead_text, "name": name, "ending": ending, "mse": errors, "cost": cost, **more}


def shallow_share(asked: Sampled, interval: int) -> float:
    """The share of the U-Net's FLOPs in a step that reuses the deep features."""
    cached = cache_features(asked.teacher, interval)
    given, flops = cached.condition(asked.captions[:1], asked.guidance_scale), []
    for timestep in (501, 481):
        with FlopCounterMode(display=False) as counter:
            cached.guided_output(asked.noise_BCHW[:1], timestep, given)
        flops.append(counter.get_total_flops())
    return flops[1] / flops[0]


def mse(found: Tensor, expected: Tensor) -> float:
    return float((found - expected).square().mean())
