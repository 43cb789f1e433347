from pathlib import Path

import pytest

from crf.front import hash_caption
from flows.evaluation.seen_captions import check_all_unseen, check_unseen, describe_seen
from flows.parameters.evaluation import EvaluateParameters
from storage import Identity
from storage.errors import UserError
from storage.store.index import index_tables, write_index
from tests.support.fronts import make_front


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
    trained = {hash_caption(text) for text in ("  A Drawing of THING 4 ", "another", "a drawing of thing 2")}
    with pytest.raises(UserError, match="2 of 6 among those, such as 'a drawing of thing 2'; remove"):
        check_unseen(str(captions), None, trained)


def test_captions_beyond_the_limit_do_not_count(captions: Path) -> None:
    check_unseen(str(captions), 2, {hash_caption("a drawing of thing 2")})


def test_a_crfs_captions_are_those_of_its_teacher_store(captions: Path, tmp_path: Path) -> None:
    params = EvaluateParameters(
        captions=str(captions), images="images", teacher="teacher", crf=write_output(tmp_path, "distill")
    )
    check_all_unseen(params)
    assert describe_seen(params) == "not checked", "the teacher store is gone"
    write_seen(tmp_path / "teach/00aa", range(5, 9))
    assert describe_seen(params) == "none"
    check_all_unseen(params.model_copy(update={"limit": 5}))
    with pytest.raises(UserError, match="1 of 6 among those, such as 'a drawing of thing 5'; remove"):
        check_all_unseen(params)


def test_a_front_names_the_captions_that_it_was_chosen_by(captions: Path, tmp_path: Path) -> None:
    front = tmp_path / "schedule.json"
    front.write_text(make_front().format())
    params = EvaluateParameters(captions=str(captions), images="images", teacher="teacher", front=str(front))
    check_all_unseen(params)
    captions.write_text("another\nA cat\n")
    with pytest.raises(UserError, match="1 of 2 among those, such as 'A cat'"):
        check_all_unseen(params)
