from pathlib import Path

import pytest

from flows.evaluation.seen_captions import check_all_unseen, check_unseen, list_seen_indices
from flows.parameters import EvaluateParameters
from storage import Identity, locations
from storage.errors import UserError
from storage.store.index import index_tables, write_index


def write_seen(store: Path, numbers: range) -> None:
    """Write the index of a store of the captions with these numbers, in shards of two."""
    rows = [{"id": str(number), "caption": f"a drawing of thing {number}"} for number in numbers]
    store.mkdir(parents=True)
    write_index(str(store / "index.parquet"), index_tables(rows, 2))


def write_output(root: Path, stage: str) -> str:
    """Write the identity of an output that was made from the teacher store "00aa"."""
    identity = Identity(stage, 1, {"teach": "00aa", "train": "00bb"}, {"steps": 1})
    identity.write(str(root))
    return identity.url(str(root))


def test_seen_captions_are_counted_and_one_is_named(captions: Path) -> None:
    trained = ["  A Drawing of THING 4 ", "another", "a drawing of thing 2"]
    with pytest.raises(UserError, match="2 of 6 among those, such as 'a drawing of thing 2'; remove"):
        check_unseen(str(captions), None, trained)


def test_captions_beyond_the_limit_do_not_count(captions: Path) -> None:
    check_unseen(str(captions), 2, ["a drawing of thing 2"])


def test_a_crfs_captions_are_those_of_its_teacher_store(captions: Path, tmp_path: Path) -> None:
    params = EvaluateParameters(
        captions=str(captions), images="images", teacher="teacher", crf=write_output(tmp_path, "distill")
    )
    check_all_unseen(params)
    assert list_seen_indices(params) == [None], "the teacher store is gone"
    write_seen(tmp_path / "teach/00aa", range(5, 9))
    assert list_seen_indices(params) == [str(tmp_path / "teach/00aa/index.parquet")]
    check_all_unseen(params.model_copy(update={"limit": 5}))
    with pytest.raises(UserError, match="1 of 6 among those, such as 'a drawing of thing 5'; remove"):
        check_all_unseen(params)


def test_a_fronts_captions_are_those_of_all_rounds_but_its_test(captions: Path, tmp_path: Path) -> None:
    front = write_output(tmp_path, "search")
    for number in range(1, 5):
        write_seen(tmp_path / f"measure/{number}", range(10 * number, 10 * number + 3))
        measured = {"measured": str(tmp_path / f"measure/{number}")}
        locations.write_json(locations.join(front, f"round-{number}.json"), measured)
    params = EvaluateParameters(captions=str(captions), images="images", teacher="teacher", front=front)
    seen = [None, *(str(tmp_path / f"measure/{number}/index.parquet") for number in (1, 2, 3))]
    assert list_seen_indices(params) == seen
    captions.write_text("another\na drawing of thing 41\n")
    check_all_unseen(params)
    captions.write_text("another\na drawing of thing 31\n")
    with pytest.raises(UserError, match="1 of 2 among those, such as 'a drawing of thing 31'"):
        check_all_unseen(params)
