"""The numbers of a report, from a small store of samples that no model made."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from crf.evaluation.costs import Cost
from crf.evaluation.methods import Method
from crf.schedule import Schedule
from flows.report.rows import compare_with_baseline, read_rows
from storage import ArraySpec, LatentStore
from storage.store.index import index_tables

METHODS = (
    Method("full_50", "full 50", Schedule.parse("50/50"), "reference"),
    Method("near", "near", Schedule.parse("33/33"), "sampler"),
    Method("far", "far", Schedule.parse("9/9"), "sampler"),
)
COSTS = dict.fromkeys([method.key for method in METHODS], Cost(100, 1000, {"median": 1, "low": 1, "high": 1}, None))
REAL = 30


def make_samples(url: Path, noises: list[int]) -> tuple[LatentStore, list[str]]:
    """Make a store of samples, given each caption's number of noises; return it with each sample's caption."""
    captions = [f"c{place}" for place, count in enumerate(noises) for _ in range(count)]
    rows = [{"id": f"s{place}", "caption": name, "uri": name, "checksum": ""} for place, name in enumerate(captions)]
    specs: dict[str, ArraySpec] = {}
    for method in METHODS:
        specs |= {f"latents_{method.key}": ArraySpec.latent(2, 2, 3)}
        specs |= {f"features_{method.key}": ArraySpec((4,), "float32", ("feature",))}
        if method.key != "full_50":
            specs |= {f"latent_mse_{method.key}": ArraySpec((), "float32", ())}
            specs |= {f"recognised_{method.key}": ArraySpec((), "float32", ())}
    store = LatentStore.create(str(url), specs, index_tables(rows, 5), shard_rows=5, provenance={})
    random, count = np.random.default_rng(0), len(captions)
    features = random.standard_normal((count, 4))
    arrays: dict[str, Any] = {
        "latents_full_50": random.standard_normal((count, 2, 2, 3)),
        "features_full_50": features,
        "features_near": features + 0.01 * random.standard_normal((count, 4)),
        "features_far": features + 2,
        "latent_mse_near": random.lognormal(-6, 1, count),
    }
    arrays |= {"latents_near": arrays["latents_full_50"], "latents_far": arrays["latents_full_50"]}
    arrays["recognised_near"] = np.full(count, np.nan)
    arrays["recognised_far"] = np.where(np.arange(count) < 4, np.arange(count) % 2, np.nan)
    arrays["latent_mse_far"] = 10 * arrays["latent_mse_near"]
    write_all(store, arrays)
    return store, captions


def make_real(url: Path, count: int = REAL) -> LatentStore:
    """Make a store of real images' features, of which the first is rejected."""
    rows = [{"id": str(place), "caption": "", "uri": "", "checksum": ""} for place in range(count)]
    specs = {"features": ArraySpec((4,), "float32", ("feature",))}
    store = LatentStore.create(str(url), specs, index_tables(rows, 8), shard_rows=8, provenance={})
    features = np.random.default_rng(1).standard_normal((count, 4))
    features[0] = np.nan
    write_all(store, {"features": features}, rejected=1)
    return store


def write_all(store: LatentStore, arrays: dict[str, Any], rejected: int = 0) -> None:
    for shard in range(store.shard_count):
        rows = store.extent(shard)
        valid = np.arange(rows.start, rows.stop) >= rejected
        reasons = {int(row): "damaged" for row in np.flatnonzero(~valid)}
        part = {name: values[rows] for name, values in arrays.items()}
        seed = np.zeros(len(valid), np.uint64)
        store.write_shard(shard, part, valid=valid, seed=seed, rejected=reasons, timing={})


def test_distances_are_those_of_whole_sets_however_they_are_sharded(tmp_path: Path) -> None:
    store, captions = make_samples(tmp_path / "samples", [3, 3, *[1] * 10])
    real = make_real(tmp_path / "real")
    full, near, far, _ = read_rows(store, METHODS, COSTS, real, captions)
    features, real_features = (np.asarray(a[:], np.float64) for a in (store["features_far"], real["features"]))
    a, b = np.cov(features.T), np.cov(real_features[1:].T)
    root = np.sqrt(np.linalg.eigvals(a @ b).real).sum()
    expected = np.square(features.mean(0) - real_features[1:].mean(0)).sum() + np.trace(a) + np.trace(b) - 2 * root
    assert far["distance_to_real"]["value"] == pytest.approx(expected, rel=1e-6)
    difference = far["distance_to_real"]["value"] - full["distance_to_real"]["value"]
    assert far["distance_to_real"]["difference"] == pytest.approx(difference)
    assert 0 < far["distance_to_real"]["low"] < difference < far["distance_to_real"]["high"]
    assert near["distance_to_real"]["low"] < 0.5
    assert far["kid_to_real"] > full["kid_to_real"]


def test_other_noises_are_measured_against_each_other(tmp_path: Path) -> None:
    store, captions = make_samples(tmp_path / "samples", [2, 1, 3])
    *_, floor = read_rows(store, METHODS, COSTS, make_real(tmp_path / "real"), captions)
    latents = np.asarray(store["latents_full_50"][:], np.float64)

    def distance(first: int, second: int) -> float:
        return float(np.square(latents[first] - latents[second]).mean())

    second_caption = np.mean([distance(3, 4), distance(4, 5), distance(5, 3)])
    assert floor["latent_mse"]["mean"] == pytest.approx((distance(0, 1) + second_caption) / 2, rel=1e-5)
    assert (floor["kind"], floor["passes"], floor["vendi"]) == ("floor", 100, None)


def test_with_one_noise_each_there_is_no_diversity(tmp_path: Path) -> None:
    store, captions = make_samples(tmp_path / "samples", [1] * 6)
    rows = read_rows(store, METHODS, COSTS, make_real(tmp_path / "real"), captions)
    assert [row["key"] for row in rows] == ["full_50", "near", "far"]
    assert {row["vendi"] for row in rows} == {None}


@pytest.mark.parametrize(("noises", "real", "measured"), [([1], REAL, False), ([1] * 6, 2, False), ([1, 1], 3, True)])
def test_a_distance_needs_two_samples_and_an_interval_three_captions(
    tmp_path: Path, noises: list[int], real: int, measured: bool
) -> None:
    store, captions = make_samples(tmp_path / "samples", noises)
    _, near, _ = read_rows(store, METHODS, COSTS, make_real(tmp_path / "real", real), captions)
    assert (near["distance_to_real"] is not None) == measured
    if measured:
        assert near["distance_to_real"]["low"] is None
    assert (near["latent_mse"]["low"] is None) == (len(noises) == 1)


def test_comparisons_name_what_is_certain(tmp_path: Path) -> None:
    store, captions = make_samples(tmp_path / "samples", [1] * 6)
    rows = read_rows(store, METHODS, COSTS, make_real(tmp_path / "real"), captions)
    [found] = compare_with_baseline(store, rows, "near", captions)
    assert (found["key"], found["significant"], found["wins"]) == ("far", True, 0)
    assert found["ratio"] == pytest.approx(10)
    assert compare_with_baseline(store, rows, "full_50", captions) == []
    alone = [name for name in captions if name == "c0"]
    [single] = compare_with_baseline(*make_alone(tmp_path / "alone", rows), alone)
    assert (single["low"], single["p"], single["p_holm"], single["significant"]) == (None, None, None, False)


def make_alone(url: Path, rows: list[dict[str, Any]]) -> tuple[LatentStore, list[dict[str, Any]], str]:
    store, _ = make_samples(url, [1])
    return store, rows, "near"


def test_captions_that_were_not_tested_do_not_count(tmp_path: Path) -> None:
    store, captions = make_samples(tmp_path / "samples", [3, 1, 1, 1])
    full, near, far, _ = read_rows(store, METHODS, COSTS, make_real(tmp_path / "real"), captions)
    assert (full["caption_accuracy"], near["caption_accuracy"]) == (None, None)
    assert far["caption_accuracy"] == pytest.approx((1 / 3 + 1) / 2)
