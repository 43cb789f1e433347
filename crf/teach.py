"""The compute of the ``teach`` stage: captions -> states of one DDIM trajectory each."""

from typing import Any

import numpy as np
import torch

from crf.encode import half_channels_last
from crf.noise import sample_noise
from crf.sampling import follow
from crf.schedule import TEACHER_HAND_OVER, TEACHER_STEPS
from crf.teacher import Teacher

MICRO_BATCH = 16  # fixed: another size may move the last bits of a matrix product


class TeachTrajectories:
    """Dict of arrays in, dict of arrays out (section 3.5: DDIM, 50 steps, guidance 7.5).

    In: ``caption`` (B,), ``seed`` uint64 (B,).
    Out: ``step_40``, ``step_50`` float16 (B, h, w, C) and ``text`` float16 (B, D).
    """

    def __init__(self, teacher_path: str, device: str, threads: int, guidance: float, size: int) -> None:
        torch.set_num_threads(threads)
        self.teacher = Teacher.load(teacher_path, device)
        self.guidance, self.size = guidance, size

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        parts = [
            self._teach(batch["caption"][start : start + MICRO_BATCH], batch["seed"][start : start + MICRO_BATCH])
            for start in range(0, len(batch["caption"]), MICRO_BATCH)
        ]
        step_40, step_50, text = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
        return {**batch, "step_40": step_40, "step_50": step_50, "text": text}

    @torch.no_grad()
    def _teach(self, captions: Any, seeds: Any) -> tuple[Any, Any, Any]:
        noise_BCHW = sample_noise([int(seed) for seed in seeds], self.teacher.latent_shape(self.size))
        given = self.teacher.condition([str(caption) for caption in captions], self.guidance)
        path = self.teacher.levels.path(TEACHER_STEPS)
        at_40 = follow(self.teacher, noise_BCHW.to(self.teacher.device), path[:TEACHER_HAND_OVER], given).state
        at_50 = follow(self.teacher, at_40, path[TEACHER_HAND_OVER:], given).state
        text = given.pooled_BD.cpu().numpy().astype(np.float16)
        return half_channels_last(at_40), half_channels_last(at_50), text
