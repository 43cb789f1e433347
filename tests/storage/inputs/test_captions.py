import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from storage import UserError
from storage.inputs.captions import scan_captions
from storage.inputs.rows import MAX_CAPTION
from storage.store.index import index_tables


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
        ("c.jsonl", '{"caption": ["x", "y"]}\n', "text in 'caption', found list in row 0"),
        ("c.jsonl", '{"caption": "x"}\n{"caption": 7}\n', "found int in row 1"),
        ("c.jsonl", "7\n", "found int in row 0"),
        ("c.jsonl", "[" * 100_000, "line 1"),
        ("c.jsonl", "9" * 5000, "line 1"),
        ("c.json", '{"annotations": ' + "[" * 100_000, "COCO captions JSON"),
        ("c.json", '{"annotations": [{"caption": ' + "9" * 5000 + "}]}", "COCO captions JSON"),
        ("c.json", '{"info": "' + "x" * 40_000_000, "COCO captions JSON"),
        ("c.txt", "x" * (1 << 24), "line 1 of .* with 16777216 or more"),
        ("c.csv", 'caption\n"not closed\n' + ("x" * 1000 + "\n") * 17_000, "closing quote"),
        ("c.parquet", "caption\nx\n", "a Parquet file"),
        ("c.doc", "x", "a caption file"),
    ],
    ids=lambda value: value[:20],
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


@pytest.mark.parametrize("data", ["caf\xe9\n".encode("latin-1"), "a dog\n".encode("utf-16"), b"\xff\xfe\xfd"])
def test_other_encodings_are_named(tmp_path: Path, data: bytes) -> None:
    for name in ("c.txt", "c.tsv", "c.jsonl"):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(UserError, match="UTF-8"):
            list(scan_captions(str(tmp_path / name)))


def test_a_byte_order_mark_is_no_part_of_a_column(tmp_path: Path) -> None:
    (tmp_path / "c.tsv").write_text("\ufeffPrompt\na dog\n")
    assert captions(tmp_path / "c.tsv") == [("0", "a dog")]


ABSURD = {
    "nul": "a\x00dog",
    "control": "\x1b]0;title\x07\x08\x7f",
    "right to left": "\u202eגולגול\u202c \u2067اردو\u2069",
    "scripts": "ქართული 日本語 ไทย हिन्दी አማርኛ ᚠᚢᚦ 𓀀𓁐 👩‍👩‍👧‍👦 e" + "\u0301" * 500,
    "markup": "[bold]$x^{$<script>alert(1)</script>{{7*7}}%s",
    "longest": "x" * MAX_CAPTION,
}


@pytest.mark.parametrize("caption", ABSURD.values(), ids=ABSURD.keys())
def test_absurd_captions_are_kept_as_they_are(tmp_path: Path, caption: str) -> None:
    (tmp_path / "c.jsonl").write_text(json.dumps({"caption": caption, "id": caption[:9]}))
    pq.write_table(pa.table({"caption": [caption], "id": [caption[:9]]}), tmp_path / "c.parquet")
    for name in ("c.jsonl", "c.parquet"):
        assert captions(tmp_path / name) == [(caption[:9], caption.strip())]


def test_half_characters_become_the_replacement_character(tmp_path: Path) -> None:
    """A caption that was cut in the middle of an emoji: JSON can spell it, an index cannot hold it."""
    (tmp_path / "c.jsonl").write_text('{"caption": "a \\ud83d", "id": "\\udc00"}\n{"caption": "\\ud83d\\ude00"}\n')
    assert captions(tmp_path / "c.jsonl") == [("\ufffd", "a \ufffd"), ("1", "😀")]
    rows = list(scan_captions(str(tmp_path / "c.jsonl")))
    [table] = index_tables(rows, 2)
    assert table["caption"].to_pylist() == ["a \ufffd", "😀"]


@pytest.mark.parametrize("name", ["c.jsonl", "c.csv", "c.tsv", "c.txt", "c.parquet", "c.json"])
def test_a_caption_of_a_megabyte_is_a_rejected_row(tmp_path: Path, name: str) -> None:
    long, file = "dog " * 250_000, tmp_path / name
    if name == "c.parquet":
        pq.write_table(pa.table({"caption": ["a dog", long]}), file)
    elif name == "c.json":
        file.write_text(json.dumps({"annotations": [{"caption": "a dog"}, {"caption": long}]}))
    elif name == "c.jsonl":
        file.write_text(json.dumps({"caption": "a dog"}) + "\n" + json.dumps({"caption": long}))
    else:
        file.write_text(("" if name == "c.txt" else "caption\n") + f"a dog\n{long}\n")
    rows = list(scan_captions(str(file)))
    assert [row["reason"] for row in rows] == ["", "too long a caption: 999999 characters, at most 10000"]
    assert len(rows[1]["caption"]) == MAX_CAPTION


@pytest.mark.parametrize("values", [[1, 2], [b"a", b"b"], [["a"], ["b"]], [0.5, None]])
def test_parquet_captions_of_other_types(tmp_path: Path, values: list[object]) -> None:
    pq.write_table(pa.table({"caption": values}), tmp_path / "c.parquet")
    with pytest.raises(UserError, match="text in the column 'caption'"):
        list(scan_captions(str(tmp_path / "c.parquet")))


def test_categories_and_nulls(tmp_path: Path) -> None:
    values = pa.array(["a dog", None, "a cat", "a dog"]).dictionary_encode()
    pq.write_table(pa.table({"caption": values}), tmp_path / "c.parquet")
    assert captions(tmp_path / "c.parquet") == [("0", "a dog"), ("2", "a cat"), ("3", "a dog")]
