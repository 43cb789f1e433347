import json
import subprocess
import sys
from pathlib import Path

import pytest

from storage import UserError
from storage.errors import NewerVersionError
from storage.identity import (
    DOCUMENT_VERSION,
    Identity,
    RowSet,
    check_unchanged,
    digest,
    fingerprint_rows,
    read_identity,
)

BASE = Identity("teach", 1, {"captions": "a", "teacher.unet": "b"}, {"guidance": 7.5, "seed": 0})


def test_the_order_of_keys_does_not_matter() -> None:
    assert digest({"a": 1, "b": [2, 3]}) == digest({"b": [2, 3], "a": 1})


def test_the_same_in_another_process() -> None:
    code = f"from storage.identity import Identity; print({BASE!r}.fingerprint)"
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.strip() == BASE.fingerprint


def test_every_part_changes_it_and_is_named() -> None:
    others = {
        "teacher.unet b → c": Identity("teach", 1, {**BASE.inputs, "teacher.unet": "c"}, BASE.parameters),
        "seed 0 → 1": Identity("teach", 1, BASE.inputs, {**BASE.parameters, "seed": 1}),
        "schema version 1 → 2": Identity("teach", 2, BASE.inputs, BASE.parameters),
    }
    for name, other in others.items():
        assert other.fingerprint != BASE.fingerprint
        assert other.changes_since(BASE) == [name]


def test_written_and_read(tmp_path: Path) -> None:
    BASE.write(str(tmp_path))
    assert read_identity(BASE.url(str(tmp_path))) == BASE


def test_a_document_without_a_version_is_of_version_1(tmp_path: Path) -> None:
    BASE.write(str(tmp_path))
    document = Path(BASE.url(str(tmp_path))) / "identity.json"
    values = json.loads(document.read_text())
    assert values.pop("document_version") == DOCUMENT_VERSION
    document.write_text(json.dumps(values))
    assert read_identity(BASE.url(str(tmp_path))) == BASE
    document.write_text(json.dumps({**values, "document_version": DOCUMENT_VERSION + 1, "owner": "x"}))
    with pytest.raises(NewerVersionError, match=rf"of version {DOCUMENT_VERSION} or older, found .*; update latentcrf"):
        read_identity(BASE.url(str(tmp_path)))


def test_rows_are_known_by_content_not_by_place() -> None:
    row = {"id": "1", "caption": "x", "checksum": "s", "reason": "", "uri": "here"}
    rows = fingerprint_rows([row], 4)
    assert rows == RowSet(rows.fingerprint, [rows.fingerprint], 1)
    assert fingerprint_rows([{**row, "uri": "there"}], 4) == rows
    for key in ("id", "caption", "checksum", "reason"):
        assert fingerprint_rows([{**row, key: "other"}], 4).fingerprint != rows.fingerprint


def test_a_shards_rows_are_known_like_a_set_of_their_own() -> None:
    rows = [{"id": str(number), "caption": "x", "checksum": "", "reason": ""} for number in range(5)]
    alone = [fingerprint_rows(rows[start : start + 2], 2).fingerprint for start in (0, 2, 4)]
    assert fingerprint_rows(rows, 2) == RowSet(fingerprint_rows(rows, 5).fingerprint, alone, 5)


def test_a_set_that_changes_between_two_readings_is_an_error() -> None:
    rows = [{"id": str(number), "caption": "x", "checksum": "", "reason": ""} for number in range(3)]
    fingerprint = fingerprint_rows(rows, 2).fingerprint
    assert list(check_unchanged(rows, fingerprint)) == rows
    for later in (rows[:2], [*rows, {**rows[0], "id": "3"}], [{**rows[0], "caption": "y"}, *rows[1:]]):
        with pytest.raises(UserError, match="run again"):
            list(check_unchanged(later, fingerprint))
