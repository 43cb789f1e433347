"""What the ``evaluate`` stage computes: each method's latents and image features, from the same noise."""

from typing import Any

import torch

from crf.evaluation.comparison import compare
from crf.evaluation.methods import list_methods
from crf.features.efficientnet import EfficientNetFeatures
from crf.model.latent_crf import LatentCRF
from crf.noise import sample_noise
from crf.stages.arrays import TRUNCATED
from crf.stages.captions import find_truncated, silence_truncation
from crf.stages.encode import make_half_channels_last
from crf.stages.micro_batches import map_micro_batches
from crf.teacher.teacher import Teacher


class CompareMethods:
    """Sample a dict of captions and seeds with every method of the evaluation.

    Reads ``caption`` str (B,) and ``seed`` uint64 (B,).

    Adds, for each method's key, ``latents_KEY`` float16 (B, h, w, C) and ``features_KEY`` float32 (B, 1280). Also
    adds ``truncated`` bool (B,), which marks captions that are longer than the text encoder's limit. All other
    entries pass through.
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
        self.features = EfficientNetFeatures(device)
        self.guidance_scale, self.size = guidance_scale, size
        self.methods = list_methods(lead, self.teacher.noise_schedule, tail)

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        arrays = map_micro_batches(self._compare, batch["caption"], batch["seed"])
        truncated = find_truncated(self.teacher, [str(caption) for caption in batch["caption"]])
        return {**batch, **arrays, TRUNCATED: truncated}

    def _compare(self, captions: Any, seeds: Any) -> dict[str, Any]:
        noise_BCHW = sample_noise([int(seed) for seed in seeds], self.teacher.latent_shape(self.size))
        latents = compare(
            self.teacher, self.crf, [str(c) for c in captions], noise_BCHW, self.guidance_scale, self.methods
        )
        arrays = {}
        for key in (method.key for method in self.methods):
            arrays[f"latents_{key}"] = make_half_channels_last(latents[key])
            arrays[f"features_{key}"] = self.features(self.teacher.decode(latents[key])).numpy()
        return arrays
