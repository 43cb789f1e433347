"""Tars as an enemy, or a full disk, would leave them."""

import gzip
import io
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from storage import UserError
from storage.inputs.images import read_images, scan_images
from storage.inputs.rows import MAX_CAPTION
from tests.support.pictures import plain, tar_of

MEMBERS = [(f"{name}.png", plain(name)) for name in ("red", "lime", "blue", "white")]


def scanned(path: Path) -> dict[str, tuple[str, str]]:
    return {row["id"]: (row["caption"], row["reason"]) for row in scan_images(str(path))}


def test_names_that_lead_elsewhere_lead_nowhere(tmp_path: Path) -> None:
    names = ["../../up.png", "/etc/absolute.png", "./here.png", "a/../b.png", "x" * 300 + ".png", "caf\udce9.png"]
    set_file = tar_of(tmp_path / "folder.tar", [(name, plain()) for name in names])
    rows = list(scan_images(str(set_file)))
    assert [row["id"] for row in rows] == [*names[:-1], "caf\ufffd.png"]
    assert list(read_images([row["uri"] for row in rows])) == [plain()] * 6
    assert [file.name for file in tmp_path.iterdir()] == ["folder.tar"]


def test_members_that_are_no_files(tmp_path: Path) -> None:
    kinds = {
        "a.png": tarfile.SYMTYPE,
        "b.png": tarfile.LNKTYPE,
        "c.png": tarfile.CHRTYPE,
        "d.png": tarfile.FIFOTYPE,
        "d.txt": tarfile.SYMTYPE,
        "e.png": tarfile.DIRTYPE,
    }
    members = [(name, b"") for name in kinds]
    found = scanned(tar_of(tmp_path / "set.tar", [*members, ("f.png", plain())], kinds))
    reason = "not a file but a link, a device or a sparse file"
    assert found == {**{f"{name}.png": (name, reason) for name in "abcde"}, "f.png": ("f", "")}


def test_a_sparse_files_size_is_not_believed(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "set.tar", "w", format=tarfile.PAX_FORMAT) as tar:
        member = tarfile.TarInfo("holes.png")
        member.pax_headers = {"GNU.sparse.map": "0,4", "GNU.sparse.size": str(1 << 50)}
        member.size = 4
        tar.addfile(member, io.BytesIO(b"data"))
    assert "sparse" in str(scanned(tmp_path / "set.tar")["holes.png"][1])


def test_captions_and_two_images_of_one_key(tmp_path: Path) -> None:
    members = [("a.png", plain()), ("a.webp", plain()), ("a.txt", b"both"), ("a.json", b"{}")]
    members += [("b.png", plain()), ("b.txt", b"x" * 1_000_000), ("c.txt", b"\xff"), ("c.png", plain())]
    found = scanned(tar_of(tmp_path / "set.tar", members))
    assert (found["a.png"], found["a.webp"]) == (("both", ""), ("both", ""))
    assert f"at most {MAX_CAPTION} characters" in str(found["b.png"][1])
    assert "not UTF-8" in str(found["c.png"][1])


@pytest.mark.parametrize("kept", [0.3, 0.5, 0.7, 700, 1024, 2048])
def test_a_tar_that_ends_in_the_middle(tmp_path: Path, kept: float) -> None:
    """Also where it ends between two members: what is missing is as little known."""
    file = tar_of(tmp_path / "set.tar", MEMBERS)
    with tarfile.open(file) as tar:
        end = tar.getmembers()[-1].offset_data + 512
    file.write_bytes(file.read_bytes()[: int(kept if kept > 1 else kept * end)])
    with pytest.raises(UserError, match=r"set.tar: .*(damaged or cut off|unexpected end|truncated)"):
        list(scan_images(str(file)))


def test_a_damaged_header_is_not_the_end(tmp_path: Path) -> None:
    file = tar_of(tmp_path / "set.tar", MEMBERS)
    data = bytearray(file.read_bytes())
    data[1024 + 10] ^= 1
    file.write_bytes(data)
    with pytest.raises(UserError, match="damaged or cut off at byte 1024"):
        list(scan_images(str(file)))


@pytest.mark.parametrize(
    "data", [b"", b"<html></html>" * 100, gzip.compress(bytes(1 << 20))], ids=["empty", "html", "gz"]
)
def test_what_is_no_tar(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "set.tar").write_bytes(data)
    with pytest.raises(UserError, match=r"an uncompressed tar.*decompress it"):
        list(scan_images(str(tmp_path / "set.tar")))


def test_a_large_tar_is_streamed(tmp_path: Path) -> None:
    """300 MB of members."""
    with (tmp_path / "set.tar").open("wb") as out, tarfile.open(fileobj=out, mode="w") as tar:
        for number in range(10):
            member = tarfile.TarInfo(f"{number}.png")
            member.size = 30 << 20
            out.write(member.tobuf())
            out.seek(member.size, 1)
            tar.offset = out.tell()
    code = (
        "import sys, pyarrow.parquet, fsspec\nfrom storage.inputs.images import scan_images\n"
        "from tests.support.memory import peak_mib\nbefore = peak_mib()\n"
        "assert len(list(scan_images(sys.argv[1]))) == 10\n"
        "grown = peak_mib() - before\n"
        "assert grown < 97, grown\n"
    )
    root = Path(__file__).parents[3]
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "set.tar")], check=True, cwd=root)
