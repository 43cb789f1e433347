from pathlib import Path

import pytest

from flows.evaluation.samples import iterate_samples
from flows.parameters import EvaluateParameters
from storage.errors import UserError


def parameters(captions: Path, **more: int) -> EvaluateParameters:
    return EvaluateParameters(captions=str(captions), images="images", teacher="teacher", **more)


def test_first_noises_have_the_captions_ids(captions: Path) -> None:
    params = parameters(captions, limit=3, noises=2, vendi_captions=1, vendi_noises=3)
    rows = list(iterate_samples(params))
    assert [row["id"] for row in rows] == ["0", "0/noise-1", "0/noise-2", "1", "1/noise-1", "2", "2/noise-1"]
    assert [row["uri"] for row in rows] == ["0", "0", "0", "1", "1", "2", "2"]


def test_by_default_diversity_is_measured_on_the_first_captions(captions: Path) -> None:
    assert [row["id"] for row in iterate_samples(parameters(captions, vendi_captions=1))][:5] == [
        "0",
        "0/noise-1",
        "0/noise-2",
        "0/noise-3",
        "1",
    ]


@pytest.mark.parametrize(
    ("text", "found"),
    [("one\n\ntwo\n", "row 1 of .*: an empty caption"), ("one\n" + "x" * 10_001, "too long a caption")],
)
def test_a_caption_that_cannot_be_used_is_named(tmp_path: Path, text: str, found: str) -> None:
    file = tmp_path / "captions.txt"
    file.write_text(text)
    with pytest.raises(
        UserError, match=f"captions of which none is rejected, found row 1 of .*{found.split(': ')[-1]}"
    ):
        list(iterate_samples(parameters(file)))
