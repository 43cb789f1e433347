"""Distances between sets of features, and the diversity within a set. Computes in float64."""

from typing import Any

import numpy as np
import numpy.typing as npt

Features = npt.NDArray[Any]  # (N, D)


def compute_frechet_distance(a_ND: Features, b_MD: Features) -> float:
    """Compute the squared Frechet distance of two Gaussians fitted to the features (Heusel et al. 2017, eq. 6).

    tr sqrt(Sa Sb) is computed as the nuclear norm of A B^T, with A and B centred and scaled. This is exact even
    with fewer samples than dimensions.
    """
    a_ND, b_MD = np.asarray(a_ND, np.float64), np.asarray(b_MD, np.float64)
    mean_a, mean_b = a_ND.mean(0), b_MD.mean(0)
    centred_a = (a_ND - mean_a) / np.sqrt(len(a_ND) - 1)
    centred_b = (b_MD - mean_b) / np.sqrt(len(b_MD) - 1)
    cross = np.linalg.svd(centred_a @ centred_b.T, compute_uv=False).sum()
    squared = ((mean_a - mean_b) ** 2).sum() + (centred_a**2).sum() + (centred_b**2).sum() - 2 * cross
    return max(0.0, float(squared))  # rounding can leave equal sets a hair below zero


def compute_vendi_score(features_ND: Features) -> float:
    """Compute the Vendi score, the effective number of distinct samples from 1 to N (Friedman & Dieng 2022, eq. 1).

    The similarity of two samples is the cosine of their features.
    """
    unit_ND = np.asarray(features_ND, np.float64)
    unit_ND = unit_ND / np.linalg.norm(unit_ND, axis=1, keepdims=True)
    return compute_vendi_of_similarity(unit_ND @ unit_ND.T)


def compute_vendi_of_similarity(similarity_NN: Features) -> float:
    """Compute the Vendi score of a similarity matrix: the exponential of the entropy of its eigenvalues."""
    eigenvalues = np.linalg.eigvalsh(np.asarray(similarity_NN, np.float64) / len(similarity_NN))
    positive = eigenvalues[eigenvalues > 1e-12]
    return float(np.exp(-(positive * np.log(positive)).sum()))


def compute_mean_vendi(features_ND: Features, groups_N: npt.NDArray[Any]) -> float:
    """Compute the paper's diversity (appendix E): the Vendi score over each caption's samples, averaged over captions.

    ``groups_N``: the caption that each sample belongs to, as any label.
    """
    return float(np.mean([compute_vendi_score(features_ND[groups_N == group]) for group in np.unique(groups_N)]))
