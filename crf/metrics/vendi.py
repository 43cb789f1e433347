"""The Vendi score: the effective number of distinct samples in a set."""

import numpy as np

from crf.errors import InputError
from crf.metrics.moments import Array, Moments


def compute_vendi_score(features_ND: Array) -> float:
    """Compute the Vendi score, from 1 to N (Friedman & Dieng 2022, eq. 1).

    The similarity of two samples is the cosine of their features.

    Raises InputError for a set without samples.
    """
    return compute_vendi_of_moments(Moments.of(scale_to_unit(features_ND)))


def compute_vendi_per_group(features_ND: Array, groups_N: Array) -> Array:
    """Compute the Vendi score of each group, in the order of the sorted groups.

    Their mean over captions is the paper's diversity (appendix E). ``groups_N`` holds the caption of each sample, as
    any label.
    """
    return np.array([compute_vendi_score(features_ND[groups_N == group]) for group in np.unique(groups_N)])


def compute_vendi_of_moments(unit: Moments) -> float:
    """Compute the Vendi score of a set from the moments of its unit features.

    N samples' similarities, divided by N, have the eigenvalues of the mean outer product of their features.
    """
    if not unit.count:
        raise InputError("at least 1 sample", "none", "evaluate more samples")
    factor_RD = np.concatenate([unit.factor_RD, np.sqrt(unit.count) * unit.mean_D[None]]) / np.sqrt(unit.count)
    return compute_vendi_of_eigenvalues(np.linalg.svd(factor_RD, compute_uv=False) ** 2)


def compute_vendi_of_similarity(similarity_NN: Array) -> float:
    """Compute the Vendi score of a similarity matrix."""
    return compute_vendi_of_eigenvalues(np.linalg.eigvalsh(np.asarray(similarity_NN, np.float64) / len(similarity_NN)))


def compute_vendi_of_eigenvalues(eigenvalues_N: Array) -> float:
    """Compute the exponential of the eigenvalues' entropy."""
    positive = eigenvalues_N[eigenvalues_N > 1e-12]
    return float(np.exp(-(positive * np.log(positive)).sum()))


def scale_to_unit(features_ND: Array) -> Array:
    """Scale each row of features to length 1, in float64."""
    features_ND = np.asarray(features_ND, np.float64)
    unit_ND: Array = features_ND / np.linalg.norm(features_ND, axis=1, keepdims=True)
    return unit_ND
