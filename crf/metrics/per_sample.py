"""Metrics with one value per sample. Their means merge as ``Moments.of(values_N[:, None])``."""

from typing import TYPE_CHECKING

import numpy as np

from crf.metrics.moments import Array
from crf.metrics.vendi import scale_to_unit

if TYPE_CHECKING:
    from torch import Tensor


def compute_squared_errors(a_BCHW: "Tensor", b_BCHW: "Tensor") -> Array:
    """Compute the mean squared error of each pair of latents, float32 (B,)."""
    errors_B: Array = (a_BCHW.float() - b_BCHW.float()).square().mean((1, 2, 3)).cpu().numpy()
    return errors_B


def compute_feature_distances(a_ND: Array, b_ND: Array) -> Array:
    """Compute the squared distance of each pair of features, (N,).

    Their mean bounds the Fréchet distance of the two sets: it is at least (N - 1) / N times that distance.
    """
    distances_N: Array = ((np.asarray(a_ND, np.float64) - np.asarray(b_ND, np.float64)) ** 2).sum(1)
    return distances_N


def compute_clip_scores(image_ND: Array, text_ND: Array) -> Array:
    """Compute each image's CLIP score with its caption: 100 times the cosine of their features, at least 0, (N,)."""
    cosines_N = (scale_to_unit(image_ND) * scale_to_unit(text_ND)).sum(1)
    scores_N: Array = np.maximum(100 * cosines_N, 0)
    return scores_N


def compute_psnr(a_BCHW: "Tensor", b_BCHW: "Tensor") -> Array:
    """Compute the peak signal-to-noise ratio of each pair of images in decibels, (B,). Equal images give infinity.

    The pixels are in [-1, 1], so the peak is 2. They are not quantised to bytes.
    """
    mse_B = (a_BCHW.double() - b_BCHW.double()).square().mean((1, 2, 3)).cpu().numpy()
    with np.errstate(divide="ignore"):
        psnr_B: Array = 10 * np.log10(4 / mse_B)
    return psnr_B
