import hashlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from storage import UserError
from storage.inputs.images import read_images, scan_images
from tests.support.pictures import plain, tar_of

IMAGES = {"red.png": plain("red"), "sub/green.png": plain("green"), "zebra.png": plain("blue")}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, data in IMAGES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(data)
    (tmp_path / "red.txt").write_text("a red square\n")
    return tmp_path


def test_a_folder_in_path_order_with_sidecars_and_stems(folder: Path) -> None:
    found = list(scan_images(str(folder)))
    assert [row["id"] for row in found] == ["red.png", "sub/green.png", "zebra.png"]
    assert [row["caption"] for row in found] == ["a red square", "green", "zebra"]
    assert [row["checksum"] for row in found] == [
        "sha256:" + hashlib.sha256(data).hexdigest() for data in IMAGES.values()
    ]
    assert list(read_images([row["uri"] for row in found])) == list(IMAGES.values())


@pytest.mark.parametrize("as_struct", [False, True])
def test_parquet_rows_are_read_back_by_uri(tmp_path: Path, as_struct: bool) -> None:
    data = [plain("red"), plain("green"), plain("blue"), plain("white"), plain("black")]
    images = [{"bytes": item, "path": None} for item in data] if as_struct else data
    table = pa.table({"image": images, "caption": list("abcde"), "id": [f"n{i}" for i in range(5)]})
    pq.write_table(table, tmp_path / "set.parquet", row_group_size=2)
    found = list(scan_images(str(tmp_path / "set.parquet")))
    assert [(row["id"], row["caption"]) for row in found] == [(f"n{i}", "abcde"[i]) for i in range(5)]
    assert list(read_images([row["uri"] for row in found[1:]])) == data[1:]


def test_webdataset_tar(tmp_path: Path) -> None:
    members = (("a.png", plain("red")), ("a.txt", b"first"), ("b.png", plain("blue")))
    tar_of(tmp_path / "set.tar", members)
    found = list(scan_images(str(tmp_path / "set.tar")))
    assert [(row["id"], row["caption"]) for row in found] == [("a.png", "first"), ("b.png", "b")]
    assert list(read_images([row["uri"] for row in found])) == [plain("red"), plain("blue")]


def test_a_hash_sign_in_a_file_name_is_not_a_place(tmp_path: Path) -> None:
    (tmp_path / "number#7.png").write_bytes(plain("red"))
    [row] = scan_images(str(tmp_path))
    assert list(read_images([row["uri"]])) == [plain("red")]


def test_a_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nothing at"):
        scan_images(str(tmp_path / "missing"))


def test_a_folder_without_images(tmp_path: Path) -> None:
    (tmp_path / "readme.md").write_text("no images")
    with pytest.raises(UserError, match=r"expected images .* none in"):
        scan_images(str(tmp_path))


def test_ids_twice_are_an_error_by_name(tmp_path: Path) -> None:
    ids = ["a", "b", "same", "c", "same", "d", "b"]
    table = pa.table({"image": [plain()] * 7, "caption": ["x"] * 7, "id": ids})
    pq.write_table(table, tmp_path / "set.parquet")
    with pytest.raises(UserError, match=r"'same', 'b' twice in .*set.parquet, first in its rows 2 and 4"):
        list(scan_images(str(tmp_path / "set.parquet")))


def test_parquet_without_the_columns_names_them(tmp_path: Path) -> None:
    pq.write_table(pa.table({"picture": np.arange(3)}), tmp_path / "set.parquet")
    with pytest.raises(UserError, match="picture"):
        scan_images(str(tmp_path / "set.parquet"))


def test_limited(folder: Path) -> None:
    assert [row["id"] for row in scan_images(str(folder), 2)] == ["red.png", "sub/green.png"]
