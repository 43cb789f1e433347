"""Compute the rows of a report from the stored samples: one per method, and one for the teacher's other noises."""

from dataclasses import asdict
from typing import Any

import numpy as np
import numpy.typing as npt

from crf.evaluation.methods import REFERENCE, Method
from crf.evaluation.metrics import compute_frechet_distance, compute_vendi_score
from crf.statistics.clusters import average_captions
from crf.statistics.comparisons import adjust_holm, compare_errors
from crf.statistics.intervals import estimate_mean, summarize_errors
from storage import LatentStore

Array = npt.NDArray[Any]
OTHER_NOISES = "other_noises"
SIGNIFICANT = 0.05
# Numbers that no metric computes yet are null.
ABSENT = dict.fromkeys(
    ("kid_to_real", "precision", "recall", "density", "coverage", "clip_score", "st_lpips", "caption_accuracy")
)


def read_rows(
    store: LatentStore, methods: tuple[Method, ...], costs: dict[str, Any], real_MD: Array, captions: list[str]
) -> list[dict[str, Any]]:
    """Compute one row per method, in the order of ``methods``, and one for the floor "other noises".

    Args:
        store: The samples.
        methods: The methods.
        costs: Method key -> its cost, as ``crf.evaluation.costs.Cost``.
        real_MD: Features of the real images.
        captions: The id of each sample's caption.
    """
    captions_N = np.array(captions)
    reference_ND = np.asarray(store[f"features_{REFERENCE}"][:])
    reference_distance = measure_distance(reference_ND, real_MD)
    rows = []
    for method in methods:
        features_ND = np.asarray(store[f"features_{method.key}"][:])
        distance = measure_distance(features_ND, real_MD)
        row = {
            "key": method.key,
            "label": method.label,
            "schedule": str(method.schedule),
            "kind": method.kind,
            "evaluations": method.schedule.evaluations,
            **asdict(costs[method.key]),
            **summarize_stored_errors(store, method.key, captions_N),
            "distance_to_real": describe_distance(distance, None if method.key == REFERENCE else reference_distance),
            **ABSENT,
            "vendi": measure_vendi(features_ND, captions_N),
        }
        rows.append(row)
    floor = measure_other_noises(store, captions_N)
    return [*rows, {**rows[0], **floor}] if floor else rows


def summarize_stored_errors(store: LatentStore, key: str, captions_N: Array) -> dict[str, Any]:
    """Summarize a method's stored errors by name; None for each that is not stored."""
    summaries: dict[str, Any] = {}
    for error in ("latent_mse", "converged_mse"):
        values = read_errors(store, error, key)
        summaries[error] = None if values is None else asdict(summarize_errors(values, captions_N))
    for error in ("psnr", "feature_distance"):
        values = read_errors(store, error, key)
        summaries[error] = (
            None if values is None else estimate_mean(average_captions(values, captions_N)).to_dict("mean")
        )
    return summaries


def read_errors(store: LatentStore, error: str, key: str) -> Array | None:
    """Read a method's errors per sample, (N,); None if they are not stored, as those of a reference to itself."""
    name = f"{error}_{key}"
    return np.asarray(store[name][:]) if name in store.names else None


def measure_distance(features_ND: Array, real_MD: Array) -> float | None:
    """Measure the squared Fréchet distance to the real images; None with fewer than two samples of either."""
    return compute_frechet_distance(features_ND, real_MD) if min(len(features_ND), len(real_MD)) > 1 else None


def describe_distance(distance: float | None, reference: float | None) -> dict[str, float | None] | None:
    """Describe a distance to the real images, and its difference to the reference row's."""
    if distance is None:
        return None
    difference = None if reference is None else distance - reference
    return {"value": distance, "difference": difference, "low": None, "high": None}


def measure_vendi(features_ND: Array, captions_N: Array) -> dict[str, float | None] | None:
    """Measure the Vendi score of each caption with several noises, averaged over captions; None if there is none."""
    groups = [features_ND[captions_N == caption] for caption in np.unique(captions_N)]
    scores = [compute_vendi_score(group) for group in groups if len(group) > 1]
    return estimate_mean(np.array(scores)).to_dict("mean") if scores else None


def measure_other_noises(store: LatentStore, captions_N: Array) -> dict[str, Any]:
    """Measure the teacher's own samples of a caption against each other: what another noise changes.

    Returns the row's fields that differ from the reference's; empty if no caption has several noises.
    """
    pairs = [
        (int(place), int(other))
        for caption in np.unique(captions_N)
        if len(places := np.flatnonzero(captions_N == caption)) > 1
        for place, other in zip(places, np.roll(places, -1), strict=True)
    ]
    if not pairs:
        return {}
    first, second = (list(side) for side in zip(*pairs, strict=True))
    latents = np.asarray(store[f"latents_{REFERENCE}"][:], dtype=np.float32)
    features_ND = np.asarray(store[f"features_{REFERENCE}"][:], dtype=np.float32)
    errors = np.square(latents[first] - latents[second]).mean((1, 2, 3))
    distances = np.square(features_ND[first] - features_ND[second]).sum(1)
    clusters = captions_N[first]
    return {
        "key": OTHER_NOISES,
        "label": "full 50, other noises",
        "kind": "floor",
        "latent_mse": asdict(summarize_errors(errors, clusters)),
        "converged_mse": None,
        "psnr": None,
        "feature_distance": estimate_mean(average_captions(distances, clusters)).to_dict("mean"),
        "distance_to_real": None,
        "vendi": None,
    }


def compare_with_baseline(
    store: LatentStore, rows: list[dict[str, Any]], baseline: str, captions: list[str]
) -> list[dict[str, Any]]:
    """Compare the latent MSE of each row's method with the baseline's. Holm's family is all of these comparisons."""
    compared_to_N = read_errors(store, "latent_mse", baseline)
    if compared_to_N is None:  # the reference, which has no error to itself
        return []
    ratios = {}
    for row in rows:
        errors_N = read_errors(store, "latent_mse", row["key"])
        if errors_N is not None and row["key"] != baseline and row["kind"] != "floor":
            ratios[row["key"]] = compare_errors(errors_N, compared_to_N, np.array(captions))
    tested = {key: ratio.p for key, ratio in ratios.items() if ratio.p is not None}
    adjusted = dict(zip(tested, adjust_holm(list(tested.values())), strict=True))
    return [
        {
            "key": key,
            "baseline": baseline,
            **asdict(ratio),
            "p_holm": adjusted.get(key),
            "significant": adjusted.get(key, 1) < SIGNIFICANT,
        }
        for key, ratio in ratios.items()
    ]
