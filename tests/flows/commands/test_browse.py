import json
from pathlib import Path
from typing import Any

import pytest

from storage import LatentStore
from storage.store.index import index_tables
from tests.support.outputs import write_training_output
from tests.support.stores import make_store


def test_verify_names_what_is_damaged_and_repairs_it(latentcrf: Any, tmp_path: Path) -> None:
    store = Path(make_store(tmp_path))
    assert latentcrf("verify", str(store), "--json") == (0, '{"ok": true, "objects": []}\n', "")
    (store / "text/c/2/0").write_bytes(b"broken")
    code, out, _ = latentcrf("verify", str(store))
    assert (code, out) == (1, "text/c/2/0: not what was written\n")
    code, out, _ = latentcrf("verify", str(store), "--repair", "--json")
    found = json.loads(out)
    assert (code, found["ok"]) == (1, False)
    assert found["objects"] == [{"path": "text/c/2/0", "problem": "not what was written"}]
    assert found["deleted"] == ["manifest.json", "text/c/2/0", "commits/00002.json"]
    make_store(tmp_path)
    assert latentcrf("verify", str(store))[0] == 0


def test_verify_of_no_store_is_a_users_mistake(latentcrf: Any, tmp_path: Path) -> None:
    code, out, err = latentcrf("verify", str(tmp_path / "none"))
    assert (code, out) == (2, "")
    assert "expected a latent store" in err


def test_ls(latentcrf: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Path(make_store(tmp_path))
    write_training_output(tmp_path, "train", {"encode": store.name, "teacher.scheduler": "49c3efbf"}, sealed=False)
    monkeypatch.setenv("COLUMNS", "80")
    code, out, _ = latentcrf("ls", str(tmp_path))
    assert code == 0
    assert all(word in out for word in (store.name, "sealed", "30 of 40", "49c3ef", "checkpoint"))
    found = json.loads(latentcrf("ls", str(tmp_path), "--json")[1])["outputs"]
    assert [(o["stage"], o["kind"], o["rows"], o["sealed"], o["done"], o["total"]) for o in found] == [
        ("encode", "store", 8, True, 3, 3),
        ("train", "checkpoint", None, False, 30, 40),
    ]
    assert latentcrf("ls", str(tmp_path / "none"))[0] == 2


def test_ls_tells_teachers_apart(latentcrf: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    train = write_training_output(tmp_path, "train", {"teacher.vae": "a2ecfe99"})
    for unet in ("bc609199", "0ldunet9"):
        write_training_output(tmp_path, "distill", {"train": train.fingerprint, "teacher.unet": unet})
    lines = [line.split() for line in latentcrf("ls", str(tmp_path))[1].splitlines()]
    end = lines.index(["teacher", "unet", "vae"])
    teachers = {unet: number for number, unet, _ in lines[end + 1 : end + 3]}
    assert lines[end + 1 : end + 3] == [[number, unet, "a2ecfe"] for unet, number in teachers.items()]
    assert set(teachers) == {"bc6091", "0ldune"}
    used = {line[1]: line[line.index("sealed") + 1 : -2] for line in lines[1:4]}
    assert used[train.fingerprint] == ["1", "2"]
    assert sorted(used.values()) == [["1"], ["1", "2"], ["2"]]


def test_show(latentcrf: Any, tmp_path: Path) -> None:
    store = Path(make_store(tmp_path))
    code, out, _ = latentcrf("show", str(store))
    assert code == 0
    assert all(word in out for word in ("8 rows in shards of 3, sealed", "(8, 4, 4, 2)", "sample y x channel"))
    assert ["stage", "test"] in [line.split() for line in out.splitlines()]
    assert "1 rejected" in out
    assert "caption 1" in out
    found = json.loads(latentcrf("show", str(store), "--rows", "2", "--json")[1])
    assert [array["array"] for array in found["arrays"]] == ["latents", "text", "valid", "seed"]
    assert [row["id"] for row in found["rows"]] == ["id-0", "id-1"]
    assert latentcrf("show", str(tmp_path))[0] == 2


def test_show_keeps_the_terminal_safe_from_captions(latentcrf: Any, tmp_path: Path) -> None:
    captions = ("\x1b[31m[red]", "long " * 100_000)
    rows = [
        {"id": str(row), "caption": caption, "uri": "", "checksum": "", "reason": ""}
        for row, caption in enumerate(captions)
    ]
    store = LatentStore.create(str(tmp_path / "s"), {}, index_tables(rows, 2), shard_rows=2, provenance={})
    code, out, _ = latentcrf("show", store.url)
    assert code == 0
    assert "\\x1b[31m[red]" in out
    assert "\x1b" not in out
    assert len(out) < 4000


def test_gc_says_first_and_deletes_when_told(latentcrf: Any, tmp_path: Path) -> None:
    store = Path(make_store(tmp_path))
    kept = write_training_output(tmp_path, "train", {"encode": store.name})
    other = write_training_output(tmp_path, "train", {"encode": store.name, "teacher.scheduler": "old"})
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
