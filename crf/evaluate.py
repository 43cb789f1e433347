"""The compute of the ``evaluate`` stage: every contender's latents and image features from the same noise."""

from typing import Any

import numpy as np
import torch

from crf.comparison import compare
from crf.contenders import contenders
from crf.encode import half_channels_last
from crf.features import ImageFeatures
from crf.model import LatentCRF
from crf.noise import sample_noise
from crf.teacher import Teacher

MICRO_BATCH = 16


class CompareContenders:
    """Dict of arrays in, dict of arrays out.

    In: ``caption`` (B,), ``seed`` uint64 (B,).
    Out, for each contender: ``latents_KEY`` float16 (B, h, w, C), ``features_KEY`` float32 (B, 1280).
    """

    def __init__(
        self, teacher_path: str, crf_path: str, device: str, threads: int, guidance: float, size: int, lead: str
    ) -> None:
        torch.set_num_threads(threads)
        self.teacher = Teacher.load(teacher_path, device)
        self.crf = LatentCRF.from_pretrained(crf_path).eval().to(device)
        self.features = ImageFeatures(device)
        self.guidance, self.size, self.contenders = guidance, size, contenders(lead)

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        parts = [
            self._compare(batch["caption"][start : start + MICRO_BATCH], batch["seed"][start : start + MICRO_BATCH])
            for start in range(0, len(batch["caption"]), MICRO_BATCH)
        ]
        return {**batch, **{name: np.concatenate([part[name] for part in parts]) for name in parts[0]}}

    def _compare(self, captions: Any, seeds: Any) -> dict[str, Any]:
        noise_BCHW = sample_noise([int(seed) for seed in seeds], self.teacher.latent_shape(self.size))
        latents = compare(
            self.teacher, self.crf, [str(c) for c in captions], noise_BCHW, self.guidance, self.contenders
        )
        arrays = {}
        for key in (contender.key for contender in self.contenders):
            arrays[f"latents_{key}"] = half_channels_last(latents[key])
            arrays[f"features_{key}"] = self.features(self.teacher.decode(latents[key])).numpy()
        return arrays
