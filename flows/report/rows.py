"""Compute the rows of a report from the stored samples: one per method, and one for the teacher's other noises."""

from dataclasses import asdict
from typing import Any

import numpy as np
import numpy.typing as npt

from crf.evaluation.methods import REFERENCE, Method
from crf.metrics.vendi import compute_vendi_score
from crf.stages.arrays import CLIP_SCORE, CONVERGED_MSE, FEATURE_DISTANCE, LATENT_MSE, PSNR, RECOGNISED, ST_LPIPS
from crf.statistics.clusters import average_captions
from crf.statistics.comparisons import adjust_holm, compare_errors
from crf.statistics.intervals import estimate_mean, summarize_errors
from flows.report.distances import NEIGHBOURHOODS, measure_distances, read_features, read_real_features
from storage import LatentStore

Array = npt.NDArray[Any]
OTHER_NOISES = "other_noises"
# Array of values per sample -> the number in the report that is their mean, without an interval.
PLAIN_MEANS = {ST_LPIPS: "st_lpips", CLIP_SCORE: "clip_score", RECOGNISED: "caption_accuracy"}
SIGNIFICANT = 0.05


def read_rows(
    store: LatentStore, methods: tuple[Method, ...], costs: dict[str, Any], real: LatentStore, captions: list[str]
) -> list[dict[str, Any]]:
    """Compute one row per method, in the order of ``methods``, and one for the floor "other noises".

    Args:
        store: The samples.
        methods: The methods.
        costs: Method key -> its cost, as ``crf.evaluation.costs.Cost``.
        real: Features of the real images.
        captions: The id of each sample's caption.
    """
    captions_N = np.array(captions)
    real_features, reference = read_real_features(real), read_features(store, REFERENCE, captions)
    rows = []
    for method in methods:
        alone = method.key == REFERENCE
        made = reference if alone else read_features(store, method.key, captions)
        row = {
            "key": method.key,
            "label": method.label,
            "schedule": str(method.schedule),
            "kind": method.kind,
            "evaluations": method.schedule.evaluations,
            **asdict(costs[method.key]),
            **summarize_values(store, method.key, captions_N),
            **measure_distances(made, None if alone else reference, real_features),
            "vendi": measure_vendi(store, method.key, captions_N),
        }
        rows.append(row)
    floor = measure_other_noises(store, captions_N)
    return [*rows, {**rows[0], **floor}] if floor else rows


def summarize_values(store: LatentStore, key: str, captions_N: Array) -> dict[str, Any]:
    """Summarize a method's stored values per sample by name; None for each that is not stored."""
    summaries: dict[str, Any] = {}
    for name in (LATENT_MSE, CONVERGED_MSE):
        values_N = read_values(store, name, key)
        summaries[name] = None if values_N is None else asdict(summarize_errors(values_N, captions_N))
    for name in (PSNR, FEATURE_DISTANCE):
        values_N = read_values(store, name, key)
        summaries[name] = None if values_N is None else estimate_captions(values_N, captions_N)
    for array, name in PLAIN_MEANS.items():
        values_N = read_values(store, array, key)
        summaries[name] = None if values_N is None else average_known(values_N, captions_N)
    return summaries


def estimate_captions(values_N: Array, captions_N: Array) -> dict[str, Any]:
    """Estimate the mean over captions, with its interval, as JSON types."""
    return estimate_mean(average_captions(values_N, captions_N)).to_dict("mean")


def average_known(values_N: Array, captions_N: Array) -> float | None:
    """Average over captions the values that are not NaN; None if all are."""
    known_N = np.isfinite(values_N)
    return float(average_captions(values_N[known_N], captions_N[known_N]).mean()) if known_N.any() else None


def read_values(store: LatentStore, name: str, key: str) -> Array | None:
    """Read a method's values per sample, (N,); None if they are not stored, as a reference's error to itself."""
    array = f"{name}_{key}"
    return np.asarray(store[array][:]) if array in store.names else None


def measure_vendi(store: LatentStore, key: str, captions_N: Array) -> dict[str, float | None] | None:
    """Measure the Vendi score of each caption with several noises, averaged over captions; None if there is none."""
    array = store[f"features_{key}"]
    scores = [compute_vendi_score(np.asarray(array[places.tolist()])) for places in find_noises(captions_N)]
    return estimate_mean(np.array(scores)).to_dict("mean") if scores else None


def find_noises(captions_N: Array) -> list[Array]:
    """Find the captions with several noises: the places of each one's samples."""
    places = [np.flatnonzero(captions_N == caption) for caption in np.unique(captions_N)]
    return [each for each in places if len(each) > 1]


def measure_other_noises(store: LatentStore, captions_N: Array) -> dict[str, Any]:
    """Measure the teacher's own samples of a caption against each other: what another noise changes.

    Returns the row's fields that differ from the reference's; empty if no caption has several noises.
    """
    noises = find_noises(captions_N)
    if not noises:
        return {}
    first, second = np.concatenate(noises), np.concatenate([np.roll(places, -1) for places in noises])
    latents = np.asarray(store[f"latents_{REFERENCE}"][:], dtype=np.float32)
    features_ND = np.asarray(store[f"features_{REFERENCE}"][:], dtype=np.float32)
    errors = np.square(latents[first] - latents[second]).mean((1, 2, 3))
    distances = np.square(features_ND[first] - features_ND[second]).sum(1)
    clusters = captions_N[first]
    return {
        "key": OTHER_NOISES,
        "label": "full 50, other noises",
        "kind": "floor",
        **dict.fromkeys((CONVERGED_MSE, PSNR, "distance_to_real", "kid_to_real", "vendi", *NEIGHBOURHOODS)),
        **dict.fromkeys(PLAIN_MEANS.values()),
        LATENT_MSE: asdict(summarize_errors(errors, clusters)),
        FEATURE_DISTANCE: estimate_captions(distances, clusters),
    }


def compare_with_baseline(
    store: LatentStore, rows: list[dict[str, Any]], baseline: str, captions: list[str]
) -> list[dict[str, Any]]:
    """Compare the latent MSE of each row's method with the baseline's. Holm's family is all of these comparisons."""
    compared_to_N = read_values(store, LATENT_MSE, baseline)
    if compared_to_N is None:  # the reference, which has no error to itself
        return []
    ratios = {}
    for row in rows:
        errors_N = read_values(store, LATENT_MSE, row["key"])
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
