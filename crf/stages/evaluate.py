"""The compute of the ``evaluate`` stage: every contender's latents and image features from the same noise."""

from typing import Any

import numpy as np
import torch

from crf.evaluation.comparison import compare
from crf.evaluation.features import ImageFeatures
from crf.evaluation.methods import list_methods
from crf.model.latent_crf import LatentCRF
from crf.noise import sample_noise
from crf.stages.encode import half_channels_last
from crf.teacher.teacher import Teacher

MICRO_BATCH = 16


class CompareMethods:
    """Dict of arrays in, dict of arrays out.

    In: ``caption`` (B,), ``seed`` uint64 (B,).
    Out, for each contender: ``latents_KEY`` float16 (B, h, w, C), ``features_KEY`` float32 (B, 1280).
    """

    def __init__(
        self, teacher_path: str, crf_path: str, device: str, threads: int, guidance_scale: float, size: int, lead: str
    ) -> None:
        torch.set_num_threads(threads)
        self.teacher = Teacher.load(teacher_path, device)
        self.crf = LatentCRF.from_pretrained(crf_path).eval().to(device)
        self.features = ImageFeatures(device)
        self.guidance_scale, self.size, self.methods = guidance_scale, size, list_methods(lead)

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        parts = [
            self._compare(batch["caption"][start : start + MICRO_BATCH], batch["seed"][start : start + MICRO_BATCH])
            for start in range(0, len(batch["caption"]), MICRO_BATCH)
        ]
        return {**batch, **{name: np.concatenate([part[name] for part in parts]) for name in parts[0]}}

    def _compare(self, captions: Any, seeds: Any) -> dict[str, Any]:
        noise_BCHW = sample_noise([int(seed) for seed in seeds], self.teacher.latent_shape(self.size))
        latents = compare(
            self.teacher, self.crf, [str(c) for c in captions], noise_BCHW, self.guidance_scale, self.methods
        )
        arrays = {}
        for key in (method.key for method in self.methods):
            arrays[f"latents_{key}"] = half_channels_last(latents[key])
            arrays[f"features_{key}"] = self.features(self.teacher.decode(latents[key])).numpy()
        return arrays
