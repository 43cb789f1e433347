"""torch-fidelity's and clean-fid's values of the same features; tests/support/golden_metrics.py made them."""

import json
from pathlib import Path
from typing import Any

import pytest

from crf.metrics.frechet import compute_frechet_distance
from crf.metrics.kernel_distance import compute_kernel_distance
from crf.metrics.moments import Moments
from crf.metrics.neighbours import measure_neighbourhoods
from tests.support.feature_sets import SETS

GOLDEN: dict[str, Any] = json.loads(Path(__file__).with_name("golden.json").read_text())["sets"]


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("library", ["frechet_inception_distance", "clean_fid"])
def test_frechet_equals_golden_values(library: str, name: str) -> None:
    a, b = (Moments.of(features) for features in SETS[name])
    assert compute_frechet_distance(a, b) == pytest.approx(GOLDEN[name][library], rel=1e-6)


@pytest.mark.parametrize("name", SETS)
def test_kernel_distance_equals_golden_values(name: str) -> None:
    a, b = SETS[name]
    fewest = min(len(a), len(b))
    found = compute_kernel_distance(a[:fewest], b[:fewest])
    assert found == pytest.approx(GOLDEN[name]["kernel_inception_distance_mean"], rel=1e-9)


@pytest.mark.parametrize("name", [name for name in SETS if "precision" in GOLDEN[name]])
def test_neighbourhoods_equal_golden_values(name: str) -> None:
    found = measure_neighbourhoods(*SETS[name], minimum=0)
    assert found is not None
    assert (found.precision, found.recall) == pytest.approx((GOLDEN[name]["precision"], GOLDEN[name]["recall"]))
