import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from storage import UserError
from storage.inputs.captions import scan_captions
from storage.inputs.coco import read_annotations

SET = {
    "info": {"description": '"annotations": [{"caption": "not this"}]', "year": 2017},
    "images": [{"id": 9, "file_name": "9.jpg", "caption": "nor this"}],
    "annotations": [
        {"image_id": 9, "id": 42, "caption": "a dog }], "},
        {"image_id": 9, "id": 43, "caption": "ein Übermut\n"},
        {"image_id": 9, "id": 44, "caption": " "},
    ],
    "licenses": [],
}


@pytest.mark.parametrize("order", [list(SET), list(SET)[::-1]])
def test_each_annotation_is_a_caption_under_its_own_id(tmp_path: Path, order: list[str]) -> None:
    file = tmp_path / "captions_val2017.json"
    file.write_text(json.dumps({key: SET[key] for key in order}, indent=1))
    rows = [(row["id"], row["caption"], row["uri"]) for row in scan_captions(str(file))]
    assert rows == [("42", "a dog }],", f"{file}#0"), ("43", "ein Übermut", f"{file}#1")]
    assert [row["id"] for row in scan_captions(str(file), limit=1)] == ["42"]


INTEGERS, FLOATS = st.integers(1 - (1 << 63), (1 << 63) - 1), st.floats(allow_nan=False, allow_infinity=False)
MEMBERS = st.lists(st.dictionaries(st.text(max_size=3), INTEGERS | FLOATS | st.text()))


@hypothesis_settings(max_examples=60)
@given(members=MEMBERS, others=st.dictionaries(st.text(max_size=3), INTEGERS | MEMBERS), piece=st.integers(1, 9))
def test_pieces_of_any_length_give_what_json_gives(
    tmp_path_factory: pytest.TempPathFactory, members: list[Any], others: dict[str, Any], piece: int
) -> None:
    file = tmp_path_factory.mktemp("coco") / "c.json"
    file.write_text(json.dumps({**others, "annotations": members, "end": 1}))
    assert list(read_annotations(str(file), piece)) == members


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[1]", "COCO captions JSON"),
        ('{"annotations": [{"caption": "x"}', "COCO captions JSON"),
        ('{"annotations": [{"caption": "x"} {}]}', "COCO captions JSON"),
        ('{"images": []}', "none in"),
        ('{"annotations": [{"title": "x"}]}', "title"),
        ("", "COCO captions JSON"),
        ('{"annotations": [' + "[" * 1_000_000, "objects and lists nested more than 100 deep"),
        ('{"annotations": [{"caption": "' + "x" * (1 << 25), "a value of more than 16777216 bytes"),
    ],
)
def test_other_json_is_a_clear_error(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "c.json").write_text(content)
    with pytest.raises(UserError, match=message):
        list(scan_captions(str(tmp_path / "c.json")))
