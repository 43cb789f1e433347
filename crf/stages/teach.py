"""The compute of the ``teach`` stage: captions -> states of one DDIM trajectory per caption."""

from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor

from crf.noise import sample_noise
from crf.sampling.paths import count_steps_before
from crf.sampling.sampler import follow, run_lead
from crf.schedule import TEACHER_SPLIT, TEACHER_STEPS, Schedule
from crf.stages.arrays import LEAD_STATE, LEAD_X0, STEP_40, STEP_50, TAIL_STATE, TEXT, TRUNCATED, X0_40
from crf.stages.captions import find_truncated, silence_truncation
from crf.stages.encode import half_channels_last
from crf.teacher.families import Condition
from crf.teacher.teacher import Teacher

MICRO_BATCH = 16  # fixed: another size may change the last bits of a matrix product


class TeachTrajectories:
    """Map a dict of arrays to a dict of arrays (section 3.5: DDIM, 50 steps, guidance 7.5).

    In: ``caption`` (B,), ``seed`` uint64 (B,), ``valid`` bool (B,).

    Out, NaN for rows that are not valid: ``text`` float16 (B, D), pooled, and latents float16 (B, h, w, C):

    - ``step_40`` and ``step_50``, states of the trajectory;
    - ``x0_40``, the teacher's x0 prediction at its 40th evaluation, if ``x0``;
    - ``lead_state`` and ``lead_x0``, where a ``lead`` such as "31/40" ends from the same noise, if given;
    - ``tail_state``, the state at the timestep ``tail`` of the 50 steps, if given.

    And ``truncated`` bool (B,): the text encoder reads only the beginning of the caption.
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
    ) -> None:
        torch.set_num_threads(threads)
        self.teacher = Teacher.load(teacher_path, device)
        silence_truncation(self.teacher)
        self.guidance_scale, self.size, self.x0 = guidance_scale, size, x0
        self.lead = Schedule.parse_lead(lead) if lead else None
        self.steps_to_tail = count_steps_before(self.teacher.noise_schedule, tail) if tail else None

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        parts = [
            self._teach(batch["caption"][start : start + MICRO_BATCH], batch["seed"][start : start + MICRO_BATCH])
            for start in range(0, len(batch["caption"]), MICRO_BATCH)
        ]
        arrays = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        for values in arrays.values():
            values[~batch["valid"]] = np.nan
        truncated = find_truncated(self.teacher, [str(caption) for caption in batch["caption"]])
        return {**batch, **arrays, TRUNCATED: truncated}

    @torch.no_grad()
    def _teach(self, captions: Any, seeds: Any) -> dict[str, Any]:
        noise_BCHW = sample_noise([int(seed) for seed in seeds], self.teacher.latent_shape(self.size))
        noise_BCHW = noise_BCHW.to(self.teacher.device)
        given = self.teacher.condition([str(caption) for caption in captions], self.guidance_scale)
        latents = self._follow_trajectory(noise_BCHW, given)
        if self.lead:
            reached = run_lead(self.teacher, self.lead, noise_BCHW, given)
            latents |= {LEAD_STATE: reached.state, LEAD_X0: reached.x0}
        arrays = {name: half_channels_last(z_BCHW) for name, z_BCHW in latents.items()}
        return {**arrays, TEXT: given.pooled_BD.cpu().numpy().astype(np.float16)}

    def _follow_trajectory(self, noise_BCHW: Tensor, given: Condition) -> dict[str, Tensor]:
        """The 50 steps, with the states to keep on the way."""
        path = self.teacher.noise_schedule.path(TEACHER_STEPS)
        stops = sorted({0, TEACHER_SPLIT, TEACHER_STEPS, *([self.steps_to_tail] if self.steps_to_tail else [])})
        states, state = {}, noise_BCHW
        for start, stop in pairwise(stops):
            states[stop] = follow(self.teacher, state, path[start:stop], given)
            state = states[stop].state
        latents = {STEP_40: states[TEACHER_SPLIT].state, STEP_50: states[TEACHER_STEPS].state}
        if self.x0:
            latents[X0_40] = states[TEACHER_SPLIT].x0
        if self.steps_to_tail:
            latents[TAIL_STATE] = states[self.steps_to_tail].state
        return latents
