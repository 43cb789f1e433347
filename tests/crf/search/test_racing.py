import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from crf.front import FrontPoint
from crf.search.racing import choose, drop_worse, rank, recommend

CAPTIONS = np.arange(16)


def draw_errors(seed: int, **factors: float) -> dict[str, np.ndarray]:
    """Errors of schedules that share most of what makes a caption hard."""
    random = np.random.default_rng(seed)
    hard = np.exp(random.normal(0, 2, 16))
    return {name: factor * hard * np.exp(random.normal(0, 0.1, 16)) for name, factor in factors.items()}


@given(st.integers(0, 2**32))
def test_what_is_surely_worse_is_dropped_and_the_best_is_kept(seed: int) -> None:
    errors = draw_errors(seed, good=1, worse=1.5, worst=9)
    assert drop_worse(errors, CAPTIONS, 3) == ["good"]
    assert rank(errors) == ["good", "worse", "worst"]


def test_what_may_be_as_good_is_kept_up_to_a_number() -> None:
    errors = draw_errors(0, a=1, b=1.001, c=1.002, far=5)
    assert set(drop_worse(errors, CAPTIONS, 9)) == {"a", "b", "c"}
    assert drop_worse(errors, CAPTIONS, 2) == rank(errors)[:2]


def test_one_caption_drops_nothing() -> None:
    errors = {"a": np.ones(4), "b": np.full(4, 2.0)}
    assert drop_worse(errors, np.zeros(4), 9) == ["a", "b"]


def test_the_cheapest_that_is_surely_within_the_limit_is_recommended() -> None:
    points = [
        FrontPoint(n, 2 * n, f"{n}/{n}", (), mean, 0, high) for n, mean, high in ((9, 1, 2), (5, 2, 3), (3, 2, 4))
    ]
    assert recommend(points, 3) == 5
    assert recommend(points, 2.5) == 9
    assert recommend(points, 1) is None


def test_of_those_left_the_one_that_fails_least_is_chosen() -> None:
    usual, failing = np.full(9, 2.0), np.array([1.0] * 8 + [99.0])
    assert rank({"usual": usual, "failing": failing})[0] == "failing"
    assert choose({"usual": usual, "failing": failing}) == "usual"
