import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from crf.statistics.clusters import average_captions
from crf.statistics.comparisons import compare_errors
from crf.statistics.intervals import estimate_mean, summarize_errors


@given(st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=20))
def test_the_interval_is_scipys(values: list[float]) -> None:
    found = estimate_mean(np.array(values))
    if np.std(values) > 1e-6:
        expected = stats.ttest_1samp(values, 0)
        low, high = expected.confidence_interval(0.95)
        assert (found.low, found.high, found.p) == pytest.approx((low, high, expected.pvalue), rel=1e-6, abs=1e-9)
    assert found.value == pytest.approx(np.mean(values))


def test_equal_values_have_an_interval_without_width() -> None:
    zero, one = estimate_mean(np.zeros(5)), estimate_mean(np.ones(5))
    assert (zero.low, zero.high, zero.p) == (0, 0, 1)
    assert (one.low, one.high, one.p) == (1, 1, 0)


def test_one_caption_has_no_interval() -> None:
    found = estimate_mean(np.array([3.0]))
    assert (found.value, found.low, found.high, found.p) == (3, None, None, None)


def test_a_caption_counts_once_however_many_noises_it_has() -> None:
    captions = np.array(["b", "a", "b", "b"])
    assert list(average_captions(np.array([1.0, 10.0, 2.0, 3.0]), captions)) == [10, 2]
    summary = summarize_errors(np.array([1.0, 16.0, 4.0, 2.0]), captions)
    assert summary.mean == pytest.approx((7 / 3 + 16) / 2)
    assert summary.geometric_mean == pytest.approx(np.sqrt(2 * 16))
    assert summary.p95 == pytest.approx(7 / 3 + 0.95 * (16 - 7 / 3))


def test_an_error_of_zero_has_a_geometric_mean() -> None:
    assert summarize_errors(np.array([0.0, 0.0]), np.array([0, 1])).geometric_mean == pytest.approx(1e-10)


@pytest.mark.parametrize("captions", [8, 12, 64])
@pytest.mark.parametrize("tails", [5, np.inf])
def test_intervals_cover_the_truth(captions: int, tails: float) -> None:
    """The noises of a caption correlate (ICC .65), and captions have 1 or 4 noises, as in the demo."""
    random, trials, truth = np.random.default_rng(0), 4000, np.log(0.8)
    labels = np.repeat(np.arange(captions), np.where(np.arange(captions) < captions // 2, 4, 1))
    spread = 1 if tails == np.inf else np.sqrt(tails / (tails - 2))

    def draw(count: int) -> np.ndarray:
        drawn = random.standard_t(tails, (trials, count)) if tails < np.inf else random.standard_normal((trials, count))
        return drawn / spread

    logs = truth + np.sqrt(0.65) * draw(captions)[:, labels] + np.sqrt(0.35) * draw(len(labels))
    baseline = np.exp(draw(len(labels)) - 7)
    clustered, ignored = 0, 0
    for errors, base in zip(baseline * np.exp(logs), baseline, strict=True):
        found, alone = (compare_errors(errors, base, unit) for unit in (labels, np.arange(len(labels))))
        clustered += found.low <= np.exp(truth) <= found.high
        ignored += alone.low <= np.exp(truth) <= alone.high
    assert clustered / trials == pytest.approx(0.95, abs=0.02)
    assert ignored / trials < 0.9, "an interval that takes noises for captions is too narrow"
