from itertools import combinations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from crf.search.dynamic_programming import find_first_order_paths, find_second_order_paths

STOPS = 7


def draw_costs(seed: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    first, second = random.random((STOPS,) * 2), random.random((STOPS,) * 3)
    h, i, j = np.indices(second.shape)
    return np.where(np.triu(np.ones_like(first), 1) > 0, first, np.inf), np.where((h < i) & (i < j), second, np.inf)


def list_paths(count: int) -> list[tuple[int, ...]]:
    return [(0, *inner) for inner in combinations(range(1, STOPS - 1), count - 1)]


@given(st.integers(0, 2**32), st.integers(1, STOPS - 1))
def test_no_other_first_order_path_is_better(seed: int, count: int) -> None:
    first, _ = draw_costs(seed)

    def total(path: tuple[int, ...]) -> float:
        return sum(first[i, j] ** 2 for i, j in zip(path, (*path[1:], STOPS - 1), strict=True))

    found = find_first_order_paths(first)
    assert list(found) == list(range(1, STOPS))
    assert tuple(found[count]) == min(list_paths(count), key=total)


@given(st.integers(0, 2**32), st.integers(1, STOPS - 1))
def test_no_other_second_order_path_is_better(seed: int, count: int) -> None:
    first, second = draw_costs(seed)

    def total(path: tuple[int, ...]) -> float:
        inner = sum(second[h, i, j] ** 2 for h, i, j in zip(path, path[1:], path[2:], strict=False))
        return inner + (first[path[0], path[1]] ** 2 if len(path) > 1 else 0) + first[path[-1], STOPS - 1] ** 2

    found = find_second_order_paths(first, second)
    assert list(found) == list(range(1, STOPS))
    assert tuple(found[count]) == min(list_paths(count), key=total)
