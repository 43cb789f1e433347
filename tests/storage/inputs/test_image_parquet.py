"""Parquet files: URIs in place of bytes, columns of other types, damage, and how much is held."""

import contextlib
import http.server
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from storage import UserError
from storage.inputs.images import read_images, scan_images
from tests.support.pictures import plain, tar_of


def written(path: Path, images: Any, column: str = "image", **columns: Any) -> str:
    table = pa.table({column: images, "caption": [f"caption {i}" for i in range(len(images))], **columns})
    pq.write_table(table, path, row_group_size=3)
    return str(path)


@pytest.mark.parametrize("column", ["image", "uri", "url", "struct"])
def test_uris_relative_and_absolute(tmp_path: Path, column: str) -> None:
    (tmp_path / "lists" / "images").mkdir(parents=True)
    for name, colour in (("lists/images/near.png", "red"), ("far.png", "lime"), ("third.png", "blue")):
        (tmp_path / name).write_bytes(plain(colour))
    fsspec.filesystem("memory").pipe("/bucket/there.png", plain("white"))
    tar = tar_of(tmp_path / "lists" / "some.tar", [("in.png", plain("black"))])
    [place] = [row["uri"].rpartition("#")[2] for row in scan_images(str(tar))]
    uris = ["images/near.png", "../far.png", f"file://{tmp_path}/third.png", str(tmp_path / "third.png")]
    uris += ["memory://bucket/there.png", f"some.tar#{place}"]
    colours = ["red", "lime", "blue", "blue", "white", "black"]
    images = [{"bytes": None, "path": uri} for uri in uris] if column == "struct" else uris
    file = written(tmp_path / "lists" / "set.parquet", images, "image" if column == "struct" else column)
    rows = list(scan_images(file))
    assert [row["reason"] for row in rows] == [""] * 6
    assert list(read_images([row["uri"] for row in rows])) == [plain(colour) for colour in colours]


def test_uris_that_lead_nowhere_keep_their_rows(tmp_path: Path) -> None:
    (tmp_path / "good.png").write_bytes(plain())
    uris = ["gone.png", "good.png", "noscheme://x/y.png", "/dev/zero", ".", "", None, "a.tar#0:99999999999", "good.png"]
    (tmp_path / "a.tar").write_bytes(b"")
    rows = list(scan_images(written(tmp_path / "set.parquet", pa.array(uris, pa.string()))))
    reasons = [row["reason"] for row in rows]
    assert reasons == [
        "cannot be read: No such file or directory",
        "",
        "cannot be read: ValueError",
        "not a file",
        "not a file",
        "empty: 0 bytes",
        "empty: 0 bytes",
        "too large: 99999999999 bytes, at most 268435456",
        "",
    ]
    assert [row["caption"] for row in rows] == [f"caption {i}" for i in range(9)]


@pytest.fixture
def web() -> Iterator[str]:
    """A web server with one picture, one of unsaid length, an endless one, and nothing else."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            name = self.path.strip("/")
            self.send_response(200 if name in ("known", "unsaid", "endless") else 404)
            if name != "endless" and name != "unsaid":
                self.send_header("Content-Length", str(len(plain()) if name == "known" else 0))
            self.end_headers()
            with contextlib.suppress(OSError):  # whoever asked has left
                self.wfile.write(plain() if name in ("known", "unsaid") else b"")
                while name == "endless":
                    self.wfile.write(bytes(1 << 20))

        def log_message(self, *_: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_uris_of_the_web(tmp_path: Path, web: str) -> None:
    uris = [f"{web}/{name}" for name in ("known", "unsaid", "endless", "missing")] + ["http://127.0.0.1:1/nobody"]
    rows = list(scan_images(written(tmp_path / "set.parquet", uris, "url")))
    reasons = [row["reason"] for row in rows]
    assert reasons[:2] == ["", ""]
    assert [str(reason).partition(":")[0] for reason in reasons[2:]] == ["too large", *["cannot be read"] * 2]
    assert list(read_images([row["uri"] for row in rows[:2]])) == [plain()] * 2


def test_a_remote_file_names_no_local_ones(tmp_path: Path) -> None:
    (tmp_path / "secret.png").write_bytes(plain())
    memory = fsspec.filesystem("memory")
    memory.pipe("/set/images/a.png", plain())
    uris = [
        "images/a.png",
        f"file://{tmp_path}/secret.png",
        f"{tmp_path}/secret.png",
        f"simplecache::file://{tmp_path}",
    ]
    memory.pipe("/set/list.parquet", Path(written(tmp_path / "list.parquet", uris)).read_bytes())
    reasons = [row["reason"] for row in scan_images("memory://set/list.parquet")]
    local = "a local file, named by a remote one"
    assert reasons == ["", local, "cannot be read: FileNotFoundError", local]


@pytest.mark.parametrize(
    ("image", "found"),
    [
        (pa.array([1, 2]), "int64"),
        (pa.array([[1, 2], [3]]), "list"),
        (pa.array([[b"x"], [b"y"]]), "list"),
        (pa.array([{"data": b"x"}, {"data": b"y"}]), "struct"),
        (pa.array([{"bytes": {"bytes": b"x"}}] * 2), "struct"),
        (pa.array([{"bytes": [1, 2]}] * 2), "struct"),
    ],
)
def test_columns_of_other_types_are_errors_by_name(tmp_path: Path, image: pa.Array, found: str) -> None:
    with pytest.raises(UserError, match=rf"column 'image', found .*{found}"):
        scan_images(written(tmp_path / "set.parquet", image))


@pytest.mark.parametrize("kind", [pa.large_binary(), pa.binary_view(), pa.binary(len(plain()))])
def test_every_type_of_bytes(tmp_path: Path, kind: pa.DataType) -> None:
    file = written(tmp_path / "set.parquet", pa.array([plain()] * 2, kind))
    assert list(read_images([row["uri"] for row in scan_images(file)])) == [plain()] * 2


def test_nulls_and_captions_of_other_types(tmp_path: Path) -> None:
    table = pa.table({"image": [plain(), None], "caption": pa.array([None, "x"])})
    pq.write_table(table, tmp_path / "set.parquet")
    rows = list(scan_images(str(tmp_path / "set.parquet")))
    assert [(row["caption"], row["reason"]) for row in rows] == [("", ""), ("x", "empty: 0 bytes")]
    for captions in ([1, 2], [b"x", b"y"], [["x"], ["y"]], [0.5, None]):
        pq.write_table(pa.table({"image": [plain()] * 2, "caption": captions}), tmp_path / "set.parquet")
        with pytest.raises(UserError, match="text in the column 'caption'"):
            scan_images(str(tmp_path / "set.parquet"))
    with pytest.raises(UserError, match="an id in every row, found null in row 1"):
        list(scan_images(written(tmp_path / "set.parquet", [plain()] * 2, id=["a", None])))


def test_rows_in_any_order(tmp_path: Path) -> None:
    colours = ["red", "lime", "blue", "white", "black", "gray", "pink"]
    file = written(tmp_path / "set.parquet", [plain(colour) for colour in colours])
    for order in ([6, 0, 3, 3, 2], [1, 2, 4, 5], [5]):
        assert list(read_images([f"{file}#{row}" for row in order])) == [plain(colours[row]) for row in order]


@pytest.mark.parametrize("damage", ["text", "empty", "cut", "overwritten"])
def test_a_damaged_file(tmp_path: Path, damage: str) -> None:
    noise = np.random.default_rng(0).bytes(4000)
    file = Path(written(tmp_path / "set.parquet", [noise + bytes([i]) for i in range(30)]))
    data = file.read_bytes()
    damaged = {"text": b"hello", "empty": b"", "cut": data[:-100], "overwritten": data[:4] + bytes(400) + data[404:]}
    file.write_bytes(damaged[damage])
    with pytest.raises(UserError, match="a Parquet file"):
        list(scan_images(str(file)))


def test_one_row_group_of_many_images_is_streamed(tmp_path: Path) -> None:
    """300 images of 1 MB in one row group. A page is held whole: here it has one image."""
    schema = pa.schema([("image", pa.binary()), ("caption", pa.string())])
    with pq.ParquetWriter(tmp_path / "set.parquet", schema, compression="none", write_batch_size=1) as writer:
        images = [bytes([number % 251]) * (1 << 20) for number in range(300)]
        table = pa.table({"image": images, "caption": ["x"] * 300}, schema)
        writer.write_table(table, row_group_size=300)
    del images, table
    code = (
        "import sys, fsspec, pandas\nfrom storage.inputs.images import read_images, scan_images\n"
        "from tests.support.memory import peak_mib\nbefore = peak_mib()\n"
        "uris = [row['uri'] for row in scan_images(sys.argv[1])]\n"
        "assert sum(1 for _ in read_images(uris[290:])) == 10\n"
        "grown = peak_mib() - before\n"
        "assert grown < 68, grown\n"
    )
    root = Path(__file__).parents[3]
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "set.parquet")], check=True, cwd=root)
