"""What the ``evaluate`` stage computes: each method's latents, image features and errors, from the same noise."""

from typing import Any

import torch
from torch import Tensor

from crf.evaluation.comparison import compare, compute_feature_distance, compute_psnr, compute_squared_error
from crf.evaluation.features import ImageFeatures
from crf.evaluation.methods import REFERENCE, Method
from crf.model.latent_crf import LatentCRF
from crf.noise import sample_noise
from crf.stages.arrays import CONVERGED, TRUNCATED
from crf.stages.captions import find_truncated, silence_truncation
from crf.stages.encode import make_half_channels_last
from crf.stages.micro_batches import map_full_micro_batches
from crf.teacher.teacher import Teacher


class CompareMethods:
    """Sample a dict of captions and seeds with every method of the evaluation.

    Reads ``caption`` str (B,) and ``seed`` uint64 (B,).

    Adds, for each method's key:

    - ``latents_KEY`` float16 (B, h, w, C) and ``features_KEY`` float32 (B, D);
    - ``latent_mse_KEY``, ``psnr_KEY`` and ``feature_distance_KEY`` float32 (B,), to the teacher's 50 steps;
    - ``converged_mse_KEY`` float32 (B,), to the converged reference, if it is one of the methods.

    Also adds ``truncated`` bool (B,), which marks captions that are longer than the text encoder's limit. All other
    entries pass through.
    """

    def __init__(
        self,
        teacher_path: str,
        crf_path: str | None,
        device: str,
        threads: int,
        guidance_scale: float,
        size: int,
        methods: tuple[Method, ...],
    ) -> None:
        torch.set_num_threads(threads)
        self.teacher = Teacher.load(teacher_path, device)
        silence_truncation(self.teacher)
        self.crf = LatentCRF.from_pretrained(crf_path).eval().to(device) if crf_path else None
        self.features = ImageFeatures(device)
        self.guidance_scale, self.size, self.methods = guidance_scale, size, methods

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        arrays = map_full_micro_batches(self._compare, batch["caption"], batch["seed"])
        truncated = find_truncated(self.teacher, [str(caption) for caption in batch["caption"]])
        return {**batch, **arrays, TRUNCATED: truncated}

    def _compare(self, captions: Any, seeds: Any) -> dict[str, Any]:
        noise_BCHW = sample_noise([int(seed) for seed in seeds], self.teacher.latent_shape(self.size))
        latents = compare(
            self.teacher, self.crf, [str(c) for c in captions], noise_BCHW, self.guidance_scale, self.methods
        )
        reference_BCHW = self.teacher.decode(latents[REFERENCE])
        reference_BD = self.features(reference_BCHW)
        arrays = {}
        for key, z_BCHW in latents.items():
            x_BCHW = reference_BCHW if key == REFERENCE else self.teacher.decode(z_BCHW)
            features_BD = reference_BD if key == REFERENCE else self.features(x_BCHW)
            arrays[f"latents_{key}"] = make_half_channels_last(z_BCHW)
            arrays[f"features_{key}"] = features_BD.numpy()
            if key != REFERENCE:
                arrays[f"latent_mse_{key}"] = to_array(compute_squared_error(z_BCHW, latents[REFERENCE]))
                arrays[f"psnr_{key}"] = to_array(compute_psnr(x_BCHW, reference_BCHW))
                arrays[f"feature_distance_{key}"] = to_array(compute_feature_distance(features_BD, reference_BD))
            if CONVERGED in latents and key != CONVERGED:
                arrays[f"converged_mse_{key}"] = to_array(compute_squared_error(z_BCHW, latents[CONVERGED]))
        return arrays


def to_array(values_B: Tensor) -> Any:
    """Convert errors to a NumPy array, float32 (B,)."""
    return values_B.float().cpu().numpy()
