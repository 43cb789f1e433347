"""What the ``teach`` stage computes: captions -> states of one DDIM trajectory per caption."""

from itertools import pairwise
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from crf.device import Copies, Precision, set_up
from crf.noise import sample_noise
from crf.sampling.paths import count_steps_before
from crf.sampling.sampler import run_lead
from crf.sampling.trajectory import follow
from crf.schedule import TEACHER_SPLIT, TEACHER_STEPS, Schedule
from crf.search.costs import multiply_trajectory
from crf.stages.arrays import (
    LEAD_STATE,
    LEAD_X0,
    STEP_40,
    STEP_50,
    TAIL_STATE,
    TEXT,
    TRAJECTORY_PRODUCTS,
    TRAJECTORY_STATE,
    TRAJECTORY_X0,
    TRUNCATED,
    X0_40,
)
from crf.stages.captions import find_truncated, silence_truncation
from crf.stages.encode import download_half, to_channels_last
from crf.stages.micro_batches import MICRO_BATCH, StageModel
from crf.teacher.families import Condition
from crf.teacher.teacher import Teacher


class TeachTrajectories(StageModel):
    """Run the teacher's 50 steps for a dict of captions and seeds, and keep the states to learn from (section 3.5).

    Reads ``caption`` str (B,), ``seed`` uint64 (B,) and ``valid`` bool (B,).

    Adds ``text`` float16 (B, D), the pooled text, and latents float16 (B, h, w, C); all are NaN for invalid rows:

    - ``step_40`` and ``step_50``: the states after 40 and 50 steps;
    - ``x0_40``, with ``x0=True``: the x0 prediction of the 40th evaluation;
    - ``lead_state`` and ``lead_x0``, with a ``lead`` such as "31/40": the state and the x0 prediction at the lead's
      end, from the same noise;
    - ``tail_state``, with ``tail``: the state of the 50 steps at that timestep;
    - ``trajectory_state`` and ``trajectory_x0`` (B, 50, h, w, C), with ``trajectory`` "states": the state and the x0
      prediction of each of the 50 evaluations.

    With ``trajectory`` "products" it adds ``trajectory_products`` float64 (B, 101, 101), the mean products of all
    pairs of states and x0 predictions (see ``multiply_trajectory``), which is all that the search of schedules needs.

    Also adds ``truncated`` bool (B,), which marks captions that are longer than the text encoder's limit. All other
    entries pass through.
    """

    def __init__(
        self,
        teacher_path: str,
        device: str,
        threads: int,
        guidance_scale: float,
        size: int,
        x0: bool = False,
        lead: str | None = None,
        tail: int | None = None,
        trajectory: Literal["none", "states", "products"] = "none",
        dtype: Precision = "float32",
        micro_batch: int = MICRO_BATCH,
        compiled: bool = False,
    ) -> None:
        set_up(threads)
        self.teacher = Teacher.load(teacher_path, device, getattr(torch, dtype)).speed_up(compiled)
        self.micro_batch, self.pads = micro_batch, compiled  # another number of rows would compile anew
        self.copies = Copies(self.teacher.device)
        silence_truncation(self.teacher)
        self.guidance_scale, self.size, self.x0, self.trajectory = guidance_scale, size, x0, trajectory
        self.lead = Schedule.parse_lead(lead) if lead else None
        self.steps_to_tail = count_steps_before(self.teacher.noise_schedule, tail) if tail else None

    def compute(self, batch: dict[str, Any]) -> dict[str, Any]:
        arrays = self._teach(batch["caption"], batch["seed"], batch["valid"])
        truncated = find_truncated(self.teacher, [str(caption) for caption in batch["caption"]])
        return {**batch, **arrays, TRUNCATED: truncated}

    @torch.no_grad()
    def _teach(self, captions: Any, seeds: Any, valid_B: Any) -> dict[str, Any]:
        noise_BCHW = sample_noise([int(seed) for seed in seeds], self.teacher.latent_shape(self.size))
        noise_BCHW = self.copies.upload(noise_BCHW)
        given = self.teacher.condition([str(caption) for caption in captions], self.guidance_scale)
        latents, path = self._follow_trajectory(noise_BCHW, given)
        if self.lead:
            reached = run_lead(self.teacher, self.lead, noise_BCHW, given)
            latents |= {LEAD_STATE: reached.state, LEAD_X0: reached.x0}
        made = {name: to_channels_last(z_BCHW) for name, z_BCHW in latents.items()}
        products = {}
        if self.trajectory == "states":
            made |= stack_trajectory(*path)
        elif self.trajectory == "products":
            products = {TRAJECTORY_PRODUCTS: multiply_trajectory(*path)}
            products[TRAJECTORY_PRODUCTS][~valid_B] = np.nan
        return {**download_half(self.copies, {**made, TEXT: given.pooled_BD}, valid_B), **products}

    def _follow_trajectory(
        self, noise_BCHW: Tensor, given: Condition
    ) -> tuple[dict[str, Tensor], tuple[list[Tensor], list[Tensor]]]:
        """Take the 50 steps; return the states to keep by array name, and the states and x0s of all stops."""
        path = self.teacher.noise_schedule.path(TEACHER_STEPS)
        stops = sorted({0, TEACHER_SPLIT, TEACHER_STEPS, *([self.steps_to_tail] if self.steps_to_tail else [])})
        if self.trajectory != "none":
            stops = list(range(TEACHER_STEPS + 1))
        reached, state, states = {}, noise_BCHW, [noise_BCHW]
        for start, stop in pairwise(stops):
            reached[stop] = follow(self.teacher, state, path[start:stop], given)
            state = reached[stop].state
            states.append(state)
        latents = {STEP_40: reached[TEACHER_SPLIT].state, STEP_50: reached[TEACHER_STEPS].state}
        if self.x0:
            latents[X0_40] = reached[TEACHER_SPLIT].x0
        if self.steps_to_tail:
            latents[TAIL_STATE] = reached[self.steps_to_tail].state
        return latents, (states, [reached[stop].x0 for stop in stops[1:]])


def stack_trajectory(states: list[Tensor], x0s: list[Tensor]) -> dict[str, Tensor]:
    """Stack the trajectory's arrays, (B, 50, h, w, C), of 51 states, the last without an evaluation, and 50 x0s."""
    kept = {TRAJECTORY_STATE: states[:-1], TRAJECTORY_X0: x0s}
    return {
        name: torch.stack([to_channels_last(z_BCHW).half() for z_BCHW in points], 1) for name, points in kept.items()
    }
