"""A store of a newer layout is named, wherever it is met, and harms nobody beside it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zarr

from storage import LatentStore, UserError
from storage.errors import NewerVersionError
from storage.store import layout
from storage.store.layout import LAYOUT_VERSION
from storage.store.reuse import find_sources
from storage.store.verification import verify
from tests.support.stores import create_store, fill_shard

NEWER = (
    f"expected a latent store of layout {LAYOUT_VERSION} or older, found {LAYOUT_VERSION + 1} at .*; update latentcrf"
)


@pytest.fixture(params=["sealed", "unsealed"])
def newer(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    url = str(tmp_path / "stage/newer")
    with monkeypatch.context() as later:
        for module in (layout, __import__("storage.store.handle", fromlist=["handle"])):
            later.setattr(module, "LAYOUT_VERSION", LAYOUT_VERSION + 1)
        store = create_store(url, 5, 2)
        for shard in range(3):
            fill_shard(store, shard)
        if request.param == "sealed":
            store.seal()
    return url


@pytest.mark.parametrize("use", [LatentStore.open, LatentStore.resume, verify, lambda url: create_store(url, 5, 2)])
def test_a_newer_layout_is_named(newer: str, use: Callable[[str], Any]) -> None:
    with pytest.raises(NewerVersionError, match=NEWER):
        use(newer)


def test_on_the_command_line(newer: str, latentcrf: Callable[..., Any]) -> None:
    for command in ("show", "verify"):
        code, out, err = latentcrf(command, newer)
        assert (code, out, err.count("\n")) == (2, "", 1)
        assert "update latentcrf" in err


def test_a_store_beside_it_can_still_be_made(newer: str) -> None:
    assert find_sources(str(Path(newer).with_name("ours")), ["a fingerprint"]) == {}


def test_another_zarr_group_is_no_latent_store(tmp_path: Path) -> None:
    zarr.create_group(str(tmp_path / "group"))
    with pytest.raises(UserError, match="expected a latent store, found another Zarr group"):
        LatentStore.open(str(tmp_path / "group"), allow_unsealed=True)
