import subprocess
import sys
from functools import reduce
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crf.errors import InputError
from crf.metrics.moments import Moments

MEASURE_GROWTH = """
import numpy as np
from crf.metrics.moments import Moments
from crf.metrics.row_sample import RowSample
from tests.support.memory import peak_mib

random = np.random.default_rng(0)
moments, sample = Moments.of(np.zeros((0, 64))), RowSample.of(np.zeros((0, 64)), [], size=1000)
for part in range(100):
    features = random.standard_normal((1000, 64), dtype=np.float32)
    moments = moments.merge(Moments.of(features))
    sample = sample.merge(RowSample.of(features, [f"{part}/{row}" for row in range(1000)], size=1000))
    if part == 0:
        start = peak_mib()
assert moments.count == sample.count == 100_000
print(peak_mib() - start)
"""


def scatter(moments: Moments) -> np.ndarray:
    return moments.factor_RD.T @ moments.factor_RD


@given(st.lists(st.integers(0, 30), min_size=1, max_size=6), st.randoms(use_true_random=False), st.integers(1, 12))
def test_moments_of_parts_merge_to_those_of_the_whole_in_any_split_and_order(
    counts: list[int], shuffler: Random, width: int
) -> None:
    random = np.random.default_rng(sum(counts))
    parts = [random.standard_normal((count, width)) * 3 + 1000 for count in counts]
    whole = Moments.of(np.concatenate(parts))
    shuffler.shuffle(parts)
    merged = reduce(Moments.merge, [Moments.of(part) for part in parts])
    assert merged.count == sum(counts)
    np.testing.assert_allclose(merged.mean_D, whole.mean_D, rtol=1e-12)
    np.testing.assert_allclose(scatter(merged), scatter(whole), atol=1e-8)
    assert len(merged.factor_RD) <= 2 * width


def test_moments_are_the_mean_and_the_covariance() -> None:
    features = np.random.default_rng(0).standard_normal((40, 5)) + 7
    factor = Moments.of(features).covariance_factor()
    np.testing.assert_allclose(factor.T @ factor, np.cov(features.T), atol=1e-12)


@pytest.mark.parametrize("count", [0, 1])
def test_fewer_than_two_samples_have_no_covariance(count: int) -> None:
    with pytest.raises(InputError, match=f"at least 2 samples, found {count}; evaluate more samples"):
        Moments.of(np.ones((count, 3))).covariance_factor()


def test_memory_stays_flat_up_to_100_000_images() -> None:
    done = subprocess.run([sys.executable, "-c", MEASURE_GROWTH], capture_output=True, text=True, check=True)
    assert float(done.stdout) < 8  # all of the features are 24 MiB
