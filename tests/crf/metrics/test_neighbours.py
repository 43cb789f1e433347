import numpy as np
import pytest
from prdc import compute_prdc

from crf.errors import InputError
from crf.metrics.neighbours import measure_neighbourhoods

RANDOM = np.random.default_rng(0)
REAL = RANDOM.standard_normal((600, 6))
GENERATED = RANDOM.standard_normal((1100, 6)) * 0.8 + 0.6


@pytest.mark.parametrize("k", [1, 5])
@pytest.mark.parametrize(("count", "count_real"), [(1100, 600), (7, 600), (30, 9)])
def test_neighbourhoods_equal_prdc(k: int, count: int, count_real: int) -> None:
    generated, real = GENERATED[:count], REAL[:count_real]
    found = measure_neighbourhoods(generated, real, k, minimum=0)
    assert found is not None
    assert found._asdict() == pytest.approx(compute_prdc(real, generated, k))


def test_precision_is_recall_of_the_exchanged_sets() -> None:
    there, back = (measure_neighbourhoods(*sets, minimum=0) for sets in ((GENERATED, REAL), (REAL, GENERATED)))
    assert there is not None
    assert back is not None
    assert (there.precision, there.recall) == (back.recall, back.precision)
    assert there.precision != there.recall


def test_too_few_samples_have_no_neighbourhoods() -> None:
    assert measure_neighbourhoods(GENERATED, REAL) is None
    with pytest.raises(InputError, match="more than 5 samples per set, found 5; evaluate more samples"):
        measure_neighbourhoods(GENERATED, REAL[:5], minimum=0)
