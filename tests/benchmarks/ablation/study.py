"""What every form is trained on and compared by: pairs, and held-out captions' trajectories, made once."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from crf.families import Condition
from crf.feature_caching import with_cached_features
from crf.noise import sample_noise, sample_seed
from crf.sampling import Trajectory, finish, lead
from crf.schedule import Schedule
from crf.teacher import Teacher
from storage.captions import scan_captions
from tests.benchmarks.ablation.forms import CONTROLS, LEADS

DEMO = Path(__file__).parents[3] / "deploy/demo"
FULL = Schedule.parse("50/50")
BATCH = 32
Latents = dict[str, Tensor]


@dataclass(frozen=True)
class Sampled:
    """Captions with their noise: what any schedule starts from."""

    teacher: Teacher
    guidance: float
    captions: list[str]
    noise_BCHW: Tensor

    @classmethod
    def draw(cls, teacher: Teacher, guidance: float, file: str, count: int, run_seed: int) -> "Sampled":
        rows = list(scan_captions(str(DEMO / file), count))
        seeds = [sample_seed(run_seed, row["id"]) for row in rows]
        noise_BCHW = sample_noise(seeds, teacher.latent_shape(teacher.default_size))
        return cls(teacher, guidance, [row["caption"] for row in rows], noise_BCHW)

    def given(self) -> list[tuple[Condition, Tensor]]:
        """Conditions and noise, a batch each."""
        starts = range(0, len(self.captions), BATCH)
        conditions = [self.teacher.condition(self.captions[start : start + BATCH], self.guidance) for start in starts]
        return list(zip(conditions, self.noise_BCHW.split(BATCH), strict=True))

    def reached(self, text: str) -> list[tuple[Trajectory, Condition]]:
        schedule = Schedule.parse_lead(text)
        return [(lead(self.teacher, schedule, noise, given), given) for given, noise in self.given()]

    def latents(self, schedule: Schedule) -> Tensor:
        """Where a schedule without a network ends."""
        return torch.cat(
            [
                finish(self.teacher, schedule, lead(self.teacher, schedule, noise, given), given)
                for given, noise in self.given()
            ]
        )


@dataclass(frozen=True)
class Study:
    """``natural``: latents and text for stage 1. ``pairs``: by lead; its state, x0, the target and the text.

    ``heldout``: by lead, where the held-out captions stand; ``full_BCHW``: where their 50 steps end.
    """

    natural: Latents
    pairs: dict[str, Latents]
    heldout: dict[str, list[tuple[Trajectory, Condition]]]
    full_BCHW: Tensor
    controls: list[dict[str, Any]]


@torch.no_grad()
def make_study(natural: Latents, guidance: float, pairs: int, heldout: int) -> Study:
    teacher = Teacher.load(DEMO / "teacher")
    taught = Sampled.draw(teacher, guidance, "images/train.parquet", pairs, 0)
    asked = Sampled.draw(teacher, guidance, "images/heldout.parquet", heldout, 1)
    full_BCHW, target_BCHW = asked.latents(FULL), taught.latents(FULL)
    text_BD = torch.cat([given.pooled_BD for given, _ in taught.given()])
    by_lead = {}
    for text in LEADS.values():
        stands = [trajectory for trajectory, _ in taught.reached(text)]
        observed = {"state": torch.cat([t.state for t in stands]), "x0": torch.cat([t.x0 for t in stands])}
        by_lead[text] = {**observed, "target": target_BCHW, "text": text_BD}
    reached = {text: asked.reached(text) for text in LEADS.values()}
    return Study(natural, by_lead, reached, full_BCHW, control_records(asked, full_BCHW))


def control_records(asked: Sampled, full_BCHW: Tensor) -> list[dict[str, Any]]:
    """What needs no network: other samplers, and the x0 prediction in the CRF's place."""
    records = []
    for evaluations, lead_text in LEADS.items():
        for name, text in CONTROLS:
            schedule = Schedule.parse(text.format(n=evaluations, lead=lead_text))
            error = mse(asked.latents(schedule), full_BCHW)
            records.append(record(evaluations, name, str(schedule), [error], schedule.evaluations))
    for evaluations, interval in ((33, 2), (25, 3)):
        cached = replace(asked, teacher=with_cached_features(asked.teacher, interval))
        cost = 50 / interval + (50 - 50 / interval) * shallow_share(asked, interval)
        name = f"DeepCache, every {interval} steps"
        records.append(record(evaluations, name, "50/50", [mse(cached.latents(FULL), full_BCHW)], round(cost)))
    return records


def record(evaluations: int, name: str, ending: str, errors: list[float], cost: int, **more: Any) -> dict[str, Any]:
    """A row: ``evaluations`` is the group that it is compared in, ``cost`` what it takes itself."""
    return {"evaluations": evaluations, "name": name, "ending": ending, "mse": errors, "cost": cost, **more}


def shallow_share(asked: Sampled, interval: int) -> float:
    """Of the U-Net's FLOPs, in a call that remembers the deep features."""
    cached = with_cached_features(asked.teacher, interval)
    given, flops = cached.condition(asked.captions[:1], asked.guidance), []
    for _ in range(2):
        with FlopCounterMode(display=False) as counter:
            cached.guided_output(asked.noise_BCHW[:1], 501, given)
        flops.append(counter.get_total_flops())
    return flops[1] / flops[0]


def mse(found: Tensor, expected: Tensor) -> float:
    return float((found - expected).square().mean())
