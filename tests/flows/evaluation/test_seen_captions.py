from pathlib import Path

import pytest

from flows.evaluation.seen_captions import check_unseen, check_unseen_by_crf
from storage import Identity
from storage.errors import UserError
from storage.store.index import index_tables, write_index


def test_seen_captions_are_counted_and_one_is_named(captions: Path) -> None:
    trained = ["  A Drawing of THING 4 ", "another", "a drawing of thing 2"]
    with pytest.raises(UserError, match=r"2 of 6 among its training captions, such as 'a drawing of thing 2'; remove"):
        check_unseen(str(captions), None, trained)


def test_captions_beyond_the_limit_do_not_count(captions: Path) -> None:
    check_unseen(str(captions), 2, ["a drawing of thing 2"])


def test_a_crfs_captions_are_those_of_its_teacher_store(captions: Path, tmp_path: Path) -> None:
    root = tmp_path / "runs"
    crf = Identity("distill", 3, {"teach": "00aa", "train": "00bb"}, {"steps": 1})
    crf.write(str(root))
    url = crf.url(str(root))
    assert not check_unseen_by_crf(str(captions), None, url), "the teacher store is gone"
    rows = [{"id": str(place), "caption": f"a drawing of thing {place}"} for place in range(5, 9)]
    (root / "teach/00aa").mkdir(parents=True)
    write_index(str(root / "teach/00aa/index.parquet"), index_tables(rows, 2))
    assert check_unseen_by_crf(str(captions), 5, url)
    with pytest.raises(UserError, match="1 of 6 among its training captions"):
        check_unseen_by_crf(str(captions), None, url)
