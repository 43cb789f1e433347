"""Which methods, captions and noises the pictures show."""

import numpy as np
import pytest
import torch

from flows.report.page.pictures import magnify_difference
from flows.report.page.sheets import choose_rows, group_noises, rank_captions
from storage import LatentStore
from tests.support.hand_made_report import NOISES, make_report, make_samples


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> LatentStore:
    return make_samples(tmp_path_factory.mktemp("samples") / "store")


def test_the_nearest_of_each_kind_is_shown_and_the_fronts_cheapest(store: LatentStore) -> None:
    shown = [row["key"] for row in choose_rows(make_report()["rows"], store)]
    assert shown == ["front_17", "front_10", "crf_2", "ddim_33", "none_2"]


def test_a_method_without_samples_is_not_shown(store: LatentStore) -> None:
    rows = make_report()["rows"]
    rows[3]["key"] = "not_stored"
    assert [row["key"] for row in choose_rows(rows, store)] == ["front_17", "front_10", "ddim_33", "none_2"]


def test_noises_are_grouped_by_caption() -> None:
    ids = ["a", "b", "a/noise-1", "a/noise-2", "c/noise-x", "b/noise-1"]
    assert group_noises(ids) == [[0, 2, 3], [1, 5]]


def test_captions_are_ranked_by_their_first_noise(store: LatentStore) -> None:
    firsts = [0, *range(NOISES, len(store))]
    nearest, farthest = rank_captions(store, "crf_2", firsts)
    errors = np.asarray(store["latent_mse_crf_2"][:])
    assert nearest == sorted(firsts, key=lambda row: errors[row])[:2]
    assert farthest == sorted(firsts, key=lambda row: -errors[row])[:2]
    assert rank_captions(store, "crf_2", [0]) == ([], [])


def test_a_difference_is_magnified_eight_times() -> None:
    x_CHW, y_CHW = torch.zeros(3, 2, 2), torch.zeros(3, 2, 2)
    y_CHW[0, 0, 0], y_CHW[1, 1, 1] = 0.1, -0.9
    difference = magnify_difference(x_CHW, y_CHW)
    assert difference[0, 0, 0].item() == pytest.approx(-1 + 0.8)
    assert difference[1, 1, 1].item() == 1  # clamped
    assert (difference == -1).sum() == 10
