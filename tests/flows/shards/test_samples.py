from pathlib import Path

import pytest

from flows.parameters.evaluation import EvaluateOptions
from flows.shards.samples import iterate_samples
from storage.errors import UserError


def test_first_noises_have_the_captions_ids(captions: Path) -> None:
    options = EvaluateOptions(noises=2, vendi_captions=1, vendi_noises=3)
    rows = list(iterate_samples(str(captions), 3, options.count_noises))
    assert [row["id"] for row in rows] == ["0", "0/noise-1", "0/noise-2", "1", "1/noise-1", "2", "2/noise-1"]
    assert [row["uri"] for row in rows] == ["0", "0", "0", "1", "1", "2", "2"]
    assert [row["id"] for row in iterate_samples(str(captions), 2, skip=1)] == ["1", "2"]


def test_by_default_only_the_first_captions_have_several_noises(captions: Path) -> None:
    options = EvaluateOptions(vendi_captions=1)
    ids = [row["id"] for row in iterate_samples(str(captions), None, options.count_noises)]
    assert ids == ["0", "0/noise-1", "0/noise-2", "0/noise-3", "1", "2", "3", "4", "5"]


@pytest.mark.parametrize(("text", "reason"), [("one\n\ntwo\n", "an empty"), ("one\n" + "x" * 10_001, "too long a")])
def test_a_caption_that_cannot_be_used_is_named(tmp_path: Path, text: str, reason: str) -> None:
    file = tmp_path / "captions.txt"
    file.write_text(text)
    with pytest.raises(UserError, match=f"none is rejected, found row 1 of .*: {reason} caption"):
        list(iterate_samples(str(file), None))
