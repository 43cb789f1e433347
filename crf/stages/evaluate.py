"""The compute of the ``evaluate`` stage: latents and image features of every method from the same noise."""

from typing import Any

import numpy as np
import torch

from crf.evaluation.comparison import compare
from crf.evaluation.features import ImageFeatures
from crf.evaluation.methods import list_methods
from crf.model.latent_crf import LatentCRF
from crf.noise import sample_noise
from crf.stages.arrays import TRUNCATED
from crf.stages.captions import find_truncated, silence_truncation
from crf.stages.encode import half_channels_last
from crf.teacher.teacher import Teacher

MICRO_BATCH = 16


class CompareMethods:
    """Map a dict of arrays to a dict of arrays.

    In: ``caption`` (B,), ``seed`` uint64 (B,).
    Out, per method: ``latents_KEY`` float16 (B, h, w, C) and ``features_KEY`` float32 (B, 1280). And
    ``truncated`` bool (B,): the text encoder reads only the beginning of the caption.
    """

    def __init__(
        self,
        teacher_path: str,
        crf_path: str,
        device: str,
        threads: int,
        guidance_scale: float,
        size: int,
        lead: str,
        tail: int | None = None,
    ) -> None:
        torch.set_num_threads(threads)
        self.teacher = Teacher.load(teacher_path, device)
        silence_truncation(self.teacher)
        self.crf = LatentCRF.from_pretrained(crf_path).eval().to(device)
        self.features = ImageFeatures(device)
        self.guidance_scale, self.size = guidance_scale, size
        self.methods = list_methods(lead, self.teacher.noise_schedule, tail)

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        parts = [
            self._compare(batch["caption"][start : start + MICRO_BATCH], batch["seed"][start : start + MICRO_BATCH])
            for start in range(0, len(batch["caption"]), MICRO_BATCH)
        ]
        arrays = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        truncated = find_truncated(self.teacher, [str(caption) for caption in batch["caption"]])
        return {**batch, **arrays, TRUNCATED: truncated}

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
