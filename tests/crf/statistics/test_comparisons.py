import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crf.statistics.comparisons import adjust_holm, compare_errors, compute_kendall_tau, estimate_difference

P_VALUES = st.lists(st.floats(0, 1), min_size=1, max_size=12)


def test_a_ratio_is_paired_by_sample_and_counted_by_caption() -> None:
    baseline = np.array([1.0, 100.0, 3.0, 5.0])
    found = compare_errors(baseline * np.array([0.5, 0.5, 0.5, 2.0]), baseline, np.array([0, 0, 1, 2]))
    assert found.ratio == pytest.approx(np.exp((2 * np.log(0.5) + np.log(2)) / 3))
    assert (found.wins, found.captions) == (2, 3)


def test_a_method_beside_itself_wins_nothing() -> None:
    errors = np.array([0.1, 0.2, 0.3])
    found = compare_errors(errors, errors, np.arange(3))
    assert (found.ratio, found.low, found.high, found.p, found.wins) == (1, 1, 1, 1, 0)


def test_the_reverse_comparison_has_the_reciprocal_ratio() -> None:
    a, b = np.random.default_rng(0).lognormal(size=(2, 10))
    ahead, back = compare_errors(a, b, np.arange(10)), compare_errors(b, a, np.arange(10))
    assert (ahead.ratio, ahead.low, ahead.high) == pytest.approx((1 / back.ratio, 1 / back.high, 1 / back.low))  # type: ignore[operator]
    assert ahead.p == pytest.approx(back.p)


def test_a_difference_is_paired() -> None:
    base = np.array([10.0, 20.0, 30.0])
    found = estimate_difference(base + np.array([1.0, 1.5, 2.0]), base, np.arange(3))
    assert found.value == pytest.approx(1.5)
    assert found.low == pytest.approx(1.5 - 4.302653 * 0.5 / np.sqrt(3), abs=1e-5)


def test_holms_example() -> None:
    assert adjust_holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


@given(P_VALUES)
def test_holm_keeps_the_order_and_lies_between_p_and_bonferroni(p_values: list[float]) -> None:
    adjusted = adjust_holm(p_values)
    assert all(p <= a <= min(1, p * len(p_values)) + 1e-12 for p, a in zip(p_values, adjusted, strict=True))
    order = np.argsort(p_values, kind="stable")
    assert (np.diff(np.array(adjusted)[order]) >= 0).all()


def test_no_comparisons_have_no_p_values() -> None:
    assert adjust_holm([]) == []


def test_tau_compares_ranks() -> None:
    assert compute_kendall_tau([1, 2, 3, 4], [1, 4, 9, 16]) == pytest.approx(1)
    assert compute_kendall_tau([1, 2, 3, 4], [4, 3, 2, 1]) == pytest.approx(-1)
    assert compute_kendall_tau([1, 2, 3, 4], [1, 2, 4, 3]) == pytest.approx(2 / 3)
