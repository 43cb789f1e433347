import json
from pathlib import Path
from typing import Any

import pytest

from tests.storage.test_outputs import trained
from tests.storage.test_verification import make


def test_verify_names_what_is_damaged_and_repairs_it(latentcrf: Any, tmp_path: Path) -> None:
    store = make(tmp_path)
    assert latentcrf("verify", str(store), "--json") == (0, '{"ok": true, "objects": []}\n', "")
    (store / "text/c/2/0").write_bytes(b"broken")
    code, out, _ = latentcrf("verify", str(store))
    assert (code, out) == (1, "text/c/2/0: not what was written\n")
    code, out, _ = latentcrf("verify", str(store), "--repair", "--json")
    found = json.loads(out)
    assert (code, found["ok"]) == (1, False)
    assert found["objects"] == [{"path": "text/c/2/0", "problem": "not what was written"}]
    assert found["deleted"] == ["manifest.json", "text/c/2/0", "commits/00002.json"]
    make(tmp_path)
    assert latentcrf("verify", str(store))[0] == 0


def test_verify_of_no_store_is_a_users_mistake(latentcrf: Any, tmp_path: Path) -> None:
    code, out, err = latentcrf("verify", str(tmp_path / "none"))
    assert (code, out) == (2, "")
    assert "expected a latent store" in err


def test_ls(latentcrf: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    store = make(tmp_path)
    trained(tmp_path, "train", {"encode": store.name, "teacher.scheduler": "49c3efbf"}, sealed=False)
    code, out, _ = latentcrf("ls", str(tmp_path))
    assert code == 0
    assert all(word in out for word in (store.name, "sealed", "30 of 40", "scheduler:49c3ef", "checkpoint"))
    found = json.loads(latentcrf("ls", str(tmp_path), "--json")[1])["outputs"]
    assert [(o["stage"], o["kind"], o["rows"], o["sealed"], o["done"], o["total"]) for o in found] == [
        ("encode", "store", 8, True, 3, 3),
        ("train", "checkpoint", None, False, 30, 40),
    ]
    assert latentcrf("ls", str(tmp_path / "none"))[0] == 2


def test_show(latentcrf: Any, tmp_path: Path) -> None:
    store = make(tmp_path)
    code, out, _ = latentcrf("show", str(store))
    assert code == 0
    assert all(word in out for word in ("8 rows in shards of 3, sealed", "[8, 4, 4, 2]", "float16", '"stage": "test"'))
    found = json.loads(latentcrf("show", str(store), "--rows", "2", "--json")[1])
    assert [array["array"] for array in found["arrays"]] == ["latents", "text", "valid", "seed"]
    assert [row["id"] for row in found["rows"]] == ["id-0", "id-1"]
    assert latentcrf("show", str(tmp_path))[0] == 2


def test_gc_says_first_and_deletes_when_told(latentcrf: Any, tmp_path: Path) -> None:
    store = make(tmp_path)
    kept = trained(tmp_path, "train", {"encode": store.name})
    other = trained(tmp_path, "train", {"encode": store.name, "teacher.scheduler": "old"})
    code, out, _ = latentcrf("gc", str(tmp_path), "--keep", kept.fingerprint)
    assert code == 0
    assert f"delete  {other.url}" in out
    assert "add --yes" in out
    assert Path(other.url).exists()
    code, out, _ = latentcrf("gc", str(tmp_path), "--keep", kept.url, "--keep", store.name, "--yes", "--json")
    assert json.loads(out)["delete"] == [other.url]
    assert not Path(other.url).exists()
    assert Path(kept.url).exists()
    assert store.exists()
    assert latentcrf("gc", str(tmp_path), "--keep", "0123")[0] == 2
    assert latentcrf("gc", str(tmp_path))[0] == 2
