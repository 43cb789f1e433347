"""A model at a gs:// URL: fetched once, checked, and hashed like the same bytes in a folder."""

import hashlib
import re
from pathlib import Path

import pytest

from storage import UserError, locations
from storage.model_files.disk import VARIABLE
from storage.model_files.folders import local_folder
from storage.model_files.hashes import hash_model
from storage.secrets import NO_SECRET, check_url
from tests.support.model_files import FILES


@pytest.fixture
def url(gs_root: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv(VARIABLE, str(tmp_path / "cache"))
    url = f"{gs_root}/{tmp_path.name}/teacher"
    for name, data in FILES.items():
        locations.write_bytes(f"{url}/{name}", data)
    return url


def read(folder: str) -> dict[str, bytes]:
    files = [file for file in Path(folder).rglob("*") if file.is_file()]
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in files}


def test_only_what_loading_reads_is_fetched(url: str) -> None:
    folder = local_folder(url, weights=False)
    assert read(folder) == {name: FILES[name] for name in ("model_index.json", "unet/config.json")}
    assert local_folder(url) == folder
    weights = "unet/diffusion_pytorch_model.safetensors"
    assert read(folder) == {name: FILES[name] for name in ("model_index.json", "unet/config.json", weights)}


def test_a_changed_object_is_fetched_to_another_folder(url: str) -> None:
    before = local_folder(url)
    locations.write_bytes(f"{url}/unet/config.json", b'{"a": 2}')
    after = local_folder(url)
    assert read(after)["unet/config.json"] == b'{"a": 2}'
    assert read(before)["unet/config.json"] == b'{"a": 1}'


def test_a_cut_file_and_a_killed_download_are_fetched_again(url: str) -> None:
    folder = Path(local_folder(url))
    weights = folder / "unet/diffusion_pytorch_model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:10])
    (folder / "unet/config.json.0.part").write_bytes(b"{")
    assert local_folder(url) == str(folder)
    assert weights.read_bytes() == whole
    assert not list(folder.rglob("*.part"))


def test_hashes_are_kept_below_the_root(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hashes = hash_model(url, str(tmp_path / "runs"))
    assert hashes == {name: hashlib.sha256(FILES[name]).hexdigest() for name in hashes}
    monkeypatch.setenv(VARIABLE, str(tmp_path / "other"))
    assert hash_model(url, str(tmp_path / "runs")) == hashes
    assert not (tmp_path / "other").exists(), "nothing is fetched again"


def test_what_is_no_model_is_named(url: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"expected a model .*, found nothing at gs://"):
        local_folder(f"{url}-none")
    with pytest.raises(UserError, match="expected hf://org/name@revision, found hf://name"):
        local_folder("hf://name")
    assert local_folder(f"file://{tmp_path}") == str(tmp_path)


@pytest.mark.parametrize(
    "url",
    [
        "https://user:CANARY@host/a",
        "simplecache::HTTPS://CANARY@host/a",
        "gs://bucket/a?token=CANARY",
        "https://host/a?X-Amz-Signature=CANARY",
        "https://account/a?sv=1&sig=CANARY",
    ],
)
def test_a_url_with_credentials_is_refused(url: str) -> None:
    with pytest.raises(UserError, match="without credentials") as caught:
        check_url(url)
    assert "CANARY" not in str(caught.value)
    assert not re.search(NO_SECRET, url)


@pytest.mark.parametrize(
    "url", ["gs://bucket/a", "hf://org/name@main", "s3://bucket/a?versionId=7", "https://host/a?design=1", "17@981,921"]
)
def test_a_url_without_credentials_is_taken(url: str) -> None:
    check_url(url)
    assert re.search(NO_SECRET, url)
