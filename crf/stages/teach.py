"""The compute of the ``teach`` stage: captions -> states of one DDIM trajectory each."""

from typing import Any

import numpy as np
import torch

from crf.noise import sample_noise
from crf.sampling.sampler import follow, lead
from crf.schedule import TEACHER_SPLIT, TEACHER_STEPS, Schedule
from crf.stages.arrays import LEAD_STATE, LEAD_X0, STEP_40, STEP_50, TEXT, X0_40
from crf.stages.encode import half_channels_last
from crf.teacher.teacher import Teacher

MICRO_BATCH = 16  # fixed: another size may move the last bits of a matrix product


class TeachTrajectories:
    """Dict of arrays in, dict of arrays out (section 3.5: DDIM, 50 steps, guidance 7.5).

    In: ``caption`` (B,), ``seed`` uint64 (B,), ``valid`` bool (B,).
    Out, NaN where not valid, latents float16 (B, h, w, C): ``step_40``, ``step_50``; with ``x0`` also
    ``x0_40``, the teacher's clean estimate at its 40th evaluation; with ``inference`` (the lead of a
    schedule, "31/40") also ``lead_state`` and ``lead_x0``, what that lead hands over from
    the same noise. And ``text`` float16 (B, D), pooled.
    """

    def __init__(
        self,
        teacher_path: str,
        device: str,
        threads: int,
        guidance_scale: float,
        size: int,
        x0: bool,
        inference: str | None,
    ) -> None:
        torch.set_num_threads(threads)
        self.teacher = Teacher.load(teacher_path, device)
        self.guidance_scale, self.size = guidance_scale, size
        self.x0, self.inference = x0, Schedule.parse_lead(inference) if inference else None

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        parts = [
            self._teach(batch["caption"][start : start + MICRO_BATCH], batch["seed"][start : start + MICRO_BATCH])
            for start in range(0, len(batch["caption"]), MICRO_BATCH)
        ]
        arrays = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        for values in arrays.values():
            values[~batch["valid"]] = np.nan
        return {**batch, **arrays}

    @torch.no_grad()
    def _teach(self, captions: Any, seeds: Any) -> dict[str, Any]:
        noise_BCHW = sample_noise([int(seed) for seed in seeds], self.teacher.latent_shape(self.size))
        noise_BCHW = noise_BCHW.to(self.teacher.device)
        given = self.teacher.condition([str(caption) for caption in captions], self.guidance_scale)
        path = self.teacher.noise_schedule.path(TEACHER_STEPS)
        at_40 = follow(self.teacher, noise_BCHW, path[:TEACHER_SPLIT], given)
        at_50 = follow(self.teacher, at_40.state, path[TEACHER_SPLIT:], given)
        latents = {STEP_40: at_40.state, STEP_50: at_50.state}
        if self.x0:
            latents[X0_40] = at_40.x0
        if self.inference:
            reached = lead(self.teacher, self.inference, noise_BCHW, given)
            latents |= {LEAD_STATE: reached.state, LEAD_X0: reached.x0}
        arrays = {name: half_channels_last(z_BCHW) for name, z_BCHW in latents.items()}
        return {**arrays, TEXT: given.pooled_BD.cpu().numpy().astype(np.float16)}
