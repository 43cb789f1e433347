import importlib.util

import pytest
import torch

from crf.errors import InputError
from crf.metrics.st_lpips import STLPIPS

IMAGES, OTHERS = torch.rand(2, 2, 3, 40, 56, generator=torch.Generator().manual_seed(0)) * 2 - 1


def test_st_lpips_equals_its_authors_code() -> None:
    """The values are stlpips-pytorch 0.0.2's: LPIPS(net="alex", variant="shift_tolerant")."""
    distance = STLPIPS()
    assert distance(IMAGES, OTHERS).tolist() == pytest.approx([0.03699447959661484, 0.03880015015602112], rel=1e-5)
    near = distance(IMAGES, IMAGES + 0.05 * OTHERS)
    assert near.tolist() == pytest.approx([7.400362665066496e-05, 8.296714804600924e-05], rel=1e-4)
    assert distance(IMAGES, IMAGES).tolist() == [0, 0]


def test_st_lpips_does_not_depend_on_the_batch() -> None:
    distance = STLPIPS()
    alone = torch.cat([distance(a[None], b[None]) for a, b in zip(IMAGES, OTHERS, strict=True)])
    torch.testing.assert_close(alone, distance(IMAGES, OTHERS))


def test_st_lpips_without_its_weights_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"stlpips-pytorch, found none; pip install 'latentcrf\[perceptual\]'"):
        STLPIPS()
