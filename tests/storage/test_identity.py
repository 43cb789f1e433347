import subprocess
import sys
from pathlib import Path

from storage.identity import Identity, digest, fingerprint_rows, read_identity

BASE = Identity("teach", 1, {"captions": "a", "teacher.unet": "b"}, {"guidance": 7.5, "seed": 0})


def test_the_order_of_keys_does_not_matter() -> None:
    assert digest({"a": 1, "b": [2, 3]}) == digest({"b": [2, 3], "a": 1})


def test_the_same_in_another_process() -> None:
    code = f"from storage.identity import Identity; print({BASE!r}.fingerprint)"
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.strip() == BASE.fingerprint


def test_every_part_changes_it_and_is_named() -> None:
    others = {
        "teacher.unet": Identity("teach", 1, {**BASE.inputs, "teacher.unet": "c"}, BASE.parameters),
        "seed": Identity("teach", 1, BASE.inputs, {**BASE.parameters, "seed": 1}),
        "schema version": Identity("teach", 2, BASE.inputs, BASE.parameters),
    }
    for name, other in others.items():
        assert other.fingerprint != BASE.fingerprint
        assert other.changes_since(BASE) == [name]


def test_written_and_read(tmp_path: Path) -> None:
    BASE.write(str(tmp_path))
    assert read_identity(BASE.url(str(tmp_path))) == BASE


def test_rows_are_known_by_content_not_by_place() -> None:
    row = {"id": "1", "caption": "x", "sha256": "s", "uri": "here"}
    fingerprint, count = fingerprint_rows([row])
    assert count == 1
    assert fingerprint_rows([{**row, "uri": "there"}]) == (fingerprint, 1)
    for key in ("id", "caption", "sha256"):
        assert fingerprint_rows([{**row, key: "other"}])[0] != fingerprint
