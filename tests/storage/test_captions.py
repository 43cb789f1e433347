from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from storage import UserError
from storage.captions import scan_captions


def captions(path: Path, limit: int | None = None) -> list[tuple[str, str]]:
    return [(row["id"], row["caption"]) for row in scan_captions(str(path), limit)]


def test_every_format_gives_the_same_captions(tmp_path: Path) -> None:
    (tmp_path / "c.txt").write_text("a dog\nein Übermut\n")
    (tmp_path / "c.tsv").write_text("Prompt\tCategory\na dog\tAnimals\nein Übermut\tWords\n")
    (tmp_path / "d.tsv").write_text("caption\na dog\nein Übermut\n")
    (tmp_path / "c.csv").write_text("caption,n\na dog,1\nein Übermut,2\n")
    (tmp_path / "c.jsonl").write_text('{"caption": "a dog"}\n{"caption": "ein Übermut"}\n')
    pq.write_table(pa.table({"caption": ["a dog", "ein Übermut"]}), tmp_path / "c.parquet")
    expected = [("0", "a dog"), ("1", "ein Übermut")]
    assert all(captions(path) == expected for path in tmp_path.iterdir())
    assert len(list(tmp_path.iterdir())) == 6


def test_ids_and_limit(tmp_path: Path) -> None:
    (tmp_path / "c.jsonl").write_text('{"caption": "x", "id": "first"}\n\n{"caption": "y", "id": "second"}\n')
    assert captions(tmp_path / "c.jsonl") == [("first", "x"), ("second", "y")]
    assert captions(tmp_path / "c.jsonl", limit=1) == [("first", "x")]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("c.txt", "\n  \n", "none in"),
        ("c.tsv", "title\tn\nx\t1\n", r"one of the columns .* found \['n', 'title'\]"),
        ("c.tsv", "", "none in"),
        ("c.jsonl", '{"caption": "x"}\n{broken\n', "line 2"),
        ("c.doc", "x", "a caption file"),
    ],
)
def test_files_without_captions(tmp_path: Path, name: str, content: str, message: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(UserError, match=message):
        list(scan_captions(str(tmp_path / name)))


def test_parquet_without_captions(tmp_path: Path) -> None:
    pq.write_table(pa.table({"title": ["x"]}), tmp_path / "c.parquet")
    with pytest.raises(UserError, match="title"):
        scan_captions(str(tmp_path / "c.parquet"))


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nothing at"):
        scan_captions(str(tmp_path / "none.txt"))
