"""What the ``teach`` stage computes: captions -> states of one DDIM trajectory per caption."""

from itertools import pairwise
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from crf.device import Copies, Precision, set_up
from crf.model.latent_crf import LatentCRF
from crf.noise import sample_noise
from crf.sampling.paths import check_rollout, count_steps_before, find_rollout_stops
from crf.sampling.rollouts import Meeting, roll_out
from crf.sampling.sampler import run_lead
from crf.sampling.trajectory import follow
from crf.schedule import TEACHER_SPLIT, TEACHER_STEPS, Schedule
from crf.search.costs import multiply_trajectory
from crf.stages.arrays import (
    LEAD_STATE,
    LEAD_X0,
    ROLLOUT_GAIN,
    ROLLOUT_GUIDANCE,
    ROLLOUT_NEXT,
    ROLLOUT_PREVIOUS,
    ROLLOUT_STATE,
    ROLLOUT_X0,
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

    With a ``rollout``, a schedule of K corrections, it adds what the CRF of ``crf_path`` meets at each (without one, a
    CRF that changes nothing): ``rollout_state``, ``rollout_x0``, ``rollout_previous``, ``rollout_guidance`` and
    ``rollout_next`` (B, K, h, w, C), the clean latents that lead to the teacher's own next state, and ``rollout_gain``
    float32 (B, K), by how much they do.

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
        rollout: str | None = None,
        crf_path: str | None = None,
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
        self.rollout = check_rollout(rollout) if rollout else None
        self.rollout_stops = find_rollout_stops(self.teacher.noise_schedule, self.rollout) if self.rollout else {}
        self.crf = LatentCRF.from_pretrained(crf_path).eval().to(device) if crf_path else None
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
        latents, path, own = self._follow_trajectory(noise_BCHW, given)
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
        others: dict[str, Any] = {}
        if self.rollout:
            met = roll_out(self.teacher, self.rollout, noise_BCHW, given, own, self.crf)
            rolled, others = stack_meetings(met)
            made |= rolled
        return {**download_half(self.copies, {**made, TEXT: given.pooled_BD}, valid_B), **products, **others}

    def _follow_trajectory(
        self, noise_BCHW: Tensor, given: Condition
    ) -> tuple[dict[str, Tensor], tuple[list[Tensor], list[Tensor]], dict[float, Tensor]]:
        """Take the 50 steps; return the states to keep by array name, the states and x0s of all stops, and the states
        that a roll-out steps to, by timestep.
        """
        path = self.teacher.noise_schedule.path(TEACHER_STEPS)
        stops = sorted({0, TEACHER_SPLIT, TEACHER_STEPS, *([self.steps_to_tail] if self.steps_to_tail else [])})
        stops = sorted({*stops, *self.rollout_stops.values()})
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
        own = {timestep: reached[stop].state for timestep, stop in self.rollout_stops.items()}
        return latents, (states, [reached[stop].x0 for stop in stops[1:]]), own


def stack_meetings(met: list[Meeting]) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Stack what a CRF met at its K places: latents (B, K, h, w, C) by array name, and the gains float32 (B, K)."""
    parts: dict[str, list[Tensor | None]] = {
        ROLLOUT_STATE: [each.seen.state_BCHW for each in met],
        ROLLOUT_X0: [each.seen.x0_BCHW for each in met],
        ROLLOUT_PREVIOUS: [each.seen.previous_BCHW for each in met],
        ROLLOUT_GUIDANCE: [each.seen.guidance_BCHW for each in met],
        ROLLOUT_NEXT: [each.target for each in met],
    }
    latents = {
        name: torch.stack([to_channels_last(z_BCHW).half() for z_BCHW in points if z_BCHW is not None], 1)
        for name, points in parts.items()
    }
    gains_BK = np.tile(np.array([each.gain for each in met], np.float32), (len(met[0].target), 1))
    return latents, {ROLLOUT_GAIN: gains_BK}


def stack_trajectory(states: list[Tensor], x0s: list[Tensor]) -> dict[str, Tensor]:
    """Stack the trajectory's arrays, (B, 50, h, w, C), of 51 states, the last without an evaluation, and 50 x0s."""
    kept = {TRAJECTORY_STATE: states[:-1], TRAJECTORY_X0: x0s}
    return {
        name: torch.stack([to_channels_last(z_BCHW).half() for z_BCHW in points], 1) for name, points in kept.items()
    }
