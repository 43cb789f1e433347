"""What the ``evaluate`` stage computes: each method's latents, image features and errors, from the same noise."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from crf.device import Precision, set_up
from crf.evaluation.methods import CONVERGED, REFERENCE, Method
from crf.features.loading import load_features
from crf.metrics.caption_accuracy import compute_caption_errors, find_recognised
from crf.metrics.per_sample import (
    compute_clip_scores,
    compute_feature_distances,
    compute_psnr,
    compute_squared_errors,
)
from crf.metrics.st_lpips import STLPIPS
from crf.model.latent_crf import LatentCRF
from crf.noise import sample_noise
from crf.sampling.sampler import run_schedules
from crf.stages.arrays import (
    CLIP_SCORE,
    CONVERGED_MSE,
    FEATURE_DISTANCE,
    LATENT_MSE,
    PSNR,
    RECOGNISED,
    ST_LPIPS,
    TRUNCATED,
)
from crf.stages.captions import find_truncated, silence_truncation
from crf.stages.encode import make_half_channels_last
from crf.stages.micro_batches import MICRO_BATCH, StageModel
from crf.teacher.teacher import Teacher

MOST_DECIBELS = 100.0
"""The PSNR that is stored for equal images, whose PSNR is infinite."""


class CompareMethods(StageModel):
    """Sample a dict of captions and seeds with every method of the evaluation.

    Reads ``caption`` str (B,) and ``seed`` uint64 (B,).

    Adds, for each method's key:

    - ``latents_KEY`` float16 (B, h, w, C) and ``features_KEY`` float32 (B, D);
    - ``latent_mse_KEY``, ``psnr_KEY`` and ``feature_distance_KEY`` float32 (B,), to the teacher's 50 steps, and
      ``st_lpips_KEY`` with ``st_lpips=True``;
    - ``converged_mse_KEY`` float32 (B,), to the converged reference, if it is one of the methods;
    - ``clip_score_KEY`` float32 (B,), if the feature network encodes text, too;
    - ``recognised_KEY`` float32 (B,), with ``caption_test``: 1 if the sample's own caption is the one of these that
      denoises it best, 0 if not, NaN if it is none of these.

    Also adds ``truncated`` bool (B,), which marks captions that are longer than the text encoder's limit. All other
    entries pass through.
    """

    pads = True

    def __init__(
        self,
        teacher_path: str,
        device: str,
        threads: int,
        guidance_scale: float,
        size: int,
        methods: tuple[Method, ...],
        crf_path: str | None = None,
        features_path: str | None = None,
        st_lpips: bool = False,
        caption_test: tuple[str, ...] = (),
        dtype: Precision = "float32",
        micro_batch: int = MICRO_BATCH,
        compiled: bool = False,
    ) -> None:
        set_up(threads)
        self.teacher = Teacher.load(teacher_path, device, getattr(torch, dtype)).speed_up(compiled)
        self.micro_batch = micro_batch
        silence_truncation(self.teacher)
        self.crf = LatentCRF.from_pretrained(crf_path).eval().to(device) if crf_path else None
        self.features = load_features(features_path, device)
        self.st_lpips = STLPIPS(device) if st_lpips else None
        self.guidance_scale, self.size, self.methods = guidance_scale, size, methods
        self.caption_test = caption_test

    def compute(self, batch: dict[str, Any]) -> dict[str, Any]:
        arrays = self._compare(batch["caption"], batch["seed"])
        truncated = find_truncated(self.teacher, [str(caption) for caption in batch["caption"]])
        return {**batch, **arrays, TRUNCATED: truncated}

    @torch.no_grad()
    def _compare(self, captions: Any, seeds: Any) -> dict[str, Any]:
        texts = [str(caption) for caption in captions]
        noise_BCHW = sample_noise([int(seed) for seed in seeds], self.teacher.latent_shape(self.size))
        given = self.teacher.condition(texts, self.guidance_scale)
        ends = run_schedules(self.teacher, [method.schedule for method in self.methods], noise_BCHW, given, self.crf)
        latents = dict(zip([method.key for method in self.methods], ends, strict=True))
        text_BD = self.features.encode_captions(texts)
        reference_BCHW = self.teacher.decode(latents[REFERENCE])
        reference_BD = self.features(reference_BCHW)
        arrays = {}
        for key, z_BCHW in latents.items():
            x_BCHW = reference_BCHW if key == REFERENCE else self.teacher.decode(z_BCHW)
            features_BD = reference_BD if key == REFERENCE else self.features(x_BCHW)
            values = {}
            if key != REFERENCE:
                values[LATENT_MSE] = compute_squared_errors(z_BCHW, latents[REFERENCE])
                values[PSNR] = np.minimum(compute_psnr(x_BCHW, reference_BCHW), MOST_DECIBELS)
                values[FEATURE_DISTANCE] = compute_feature_distances(features_BD.numpy(), reference_BD.numpy())
            if key != REFERENCE and self.st_lpips:
                values[ST_LPIPS] = self.st_lpips(x_BCHW, reference_BCHW).numpy()
            if key != CONVERGED and CONVERGED in latents:
                values[CONVERGED_MSE] = compute_squared_errors(z_BCHW, latents[CONVERGED])
            if text_BD is not None:
                values[CLIP_SCORE] = compute_clip_scores(features_BD.numpy(), text_BD.numpy())
            if self.caption_test:
                values[RECOGNISED] = self._recognise(z_BCHW, texts, seeds)
            arrays[f"latents_{key}"] = make_half_channels_last(z_BCHW)
            arrays[f"features_{key}"] = features_BD.numpy()
            arrays |= {f"{name}_{key}": value.astype(np.float32) for name, value in values.items()}
        return arrays

    def _recognise(self, z_BCHW: Tensor, texts: list[str], seeds: Any) -> Any:
        """Run the teacher's own caption test on the samples whose caption is one of the test's."""
        numbers = {caption: number for number, caption in enumerate(self.caption_test)}
        own_B = np.array([numbers.get(text, -1) for text in texts])
        tested = own_B >= 0
        recognised_B = np.full(len(texts), np.nan)
        if tested.any():
            errors_BK = compute_caption_errors(
                self.teacher, z_BCHW[torch.from_numpy(tested).to(z_BCHW.device)], list(numbers), seeds[tested]
            )
            recognised_B[tested] = find_recognised(errors_BK, own_B[tested])
        return recognised_B
