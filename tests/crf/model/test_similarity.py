from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from crf.model.similarity import DenseSimilarity, StationarySimilarity, make_gaussian_table, make_similarity
from tests.support.crfs import SMALL


@pytest.mark.parametrize("form", ["dense", "stationary"])
def test_messages_are_weighted_sums_over_the_other_locations(form: Any) -> None:
    torch.manual_seed(0)
    similarity = make_similarity(replace(SMALL, similarity=form)).double()
    for parameter in similarity.parameters():
        torch.nn.init.normal_(parameter)
    k, x = similarity.table(), torch.randn(1, 3, 4, 5, dtype=torch.float64)
    flat = x.flatten(2)[0]
    slow = torch.zeros(2, 3, 20, dtype=torch.float64)
    for head in range(2):
        for i in range(20):
            for j in set(range(20)) - {i}:
                slow[head, :, i] += k[head, i, j] * flat[:, j]
    torch.testing.assert_close(similarity(x, similarity.prepare()).flatten(3)[0], slow)


def test_dense_similarities_start_as_gaussians_without_a_diagonal() -> None:
    k = make_gaussian_table(SMALL)
    assert k.shape == (2, 20, 20)
    assert (k.diagonal(dim1=1, dim2=2) == 0).all()
    torch.testing.assert_close(k.sum(-1), torch.ones(2, 20))
    assert k[0, 0, 1] / k[0, 0, 2] > k[1, 0, 1] / k[1, 0, 2]


@pytest.mark.parametrize("form", ["dense", "stationary"])
def test_the_widths_that_heads_start_with(form: Any) -> None:
    """k at distance 1 over k at distance 2 is exp(3 / (2 width^2))."""
    config = replace(SMALL, height=5, heads=2, similarity=form, similarity_width=1.5, similarity_growth=3.0)
    k = make_similarity(config).table()
    for head, width in enumerate((1.5, 4.5)):
        torch.testing.assert_close(k[head, 0, 1] / k[head, 0, 2], torch.tensor(3 / (2 * width**2)).exp())


def test_both_forms_start_alike_away_from_the_border() -> None:
    config = replace(SMALL, height=11, width=11, heads=1)
    dense, stationary = DenseSimilarity(config).table(), StationarySimilarity(config).table()
    torch.testing.assert_close(dense[0, 60], stationary[0, 60], atol=1e-5, rtol=1e-3)


@given(height=st.integers(1, 7), width=st.integers(1, 7))
@settings(max_examples=20)
def test_the_fft_is_the_table_at_every_size(height: int, width: int) -> None:
    similarity = StationarySimilarity(replace(SMALL, height=height, width=width)).double()
    torch.nn.init.normal_(similarity.kernel_hYX)
    x = torch.randn(2, 3, height, width, dtype=torch.float64)
    expected = torch.einsum("hnm,bcm->bhcn", similarity.table(), x.flatten(2))
    torch.testing.assert_close(similarity(x, similarity.prepare()).flatten(3), expected)


def test_training_leaves_the_diagonal_at_zero() -> None:
    """Which is why inference may take the table as it is."""
    torch.manual_seed(0)
    similarity = make_similarity(SMALL)
    optimizer = torch.optim.AdamW(similarity.parameters(), lr=0.1, weight_decay=0.1)
    x = torch.randn(2, 3, 4, 5)
    for _ in range(3):
        similarity(x, similarity.prepare()).square().sum().backward()
        optimizer.step()
    assert not torch.equal(similarity.table(), make_gaussian_table(SMALL))
    assert torch.equal(similarity.table(), next(similarity.parameters()))
    with torch.no_grad():
        assert similarity.prepare() is next(similarity.parameters())
