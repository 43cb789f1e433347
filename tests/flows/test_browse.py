import json
import sys
from pathlib import Path
from typing import Any

import pytest

from flows.cli import main
from tests.storage.test_verification import make


@pytest.fixture
def latentcrf(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Run a command -> its exit code, its output, its errors."""

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["latentcrf", *arguments])
        code = 0
        try:
            main()
        except SystemExit as stop:
            code = int(stop.code or 0)
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run


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
