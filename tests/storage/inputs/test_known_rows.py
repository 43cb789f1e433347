"""What is known of a set is not read again, and is never wrong."""

from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage import UserError
from storage.inputs.images import read_images, scan_images
from storage.inputs.known_rows import place_known_rows, read_known_rows
from storage.inputs.rows import Row
from tests.support import servers
from tests.support.counting_proxy import CountingProxy
from tests.support.file_opens import count_opens
from tests.support.pictures import plain, tar_of

COLOURS = ("red", "lime", "blue", "white")


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """A folder of four pictures; the first has a caption file, and the last is a link that is rejected."""
    folder = tmp_path / "set"
    folder.mkdir()
    for number, colour in enumerate(COLOURS):
        (folder / f"{number}.png").write_bytes(plain(colour))
    (folder / "0.txt").write_text("a red square")
    (folder / "9.png").symlink_to("/etc/passwd")
    return folder


def scan(url: Path | str, root: Path, limit: int | None = None) -> list[Row]:
    """Scan, and check that it gives what a scan without knowledge gives, and that this is what is known then."""
    rows = list(scan_images(str(url), limit, root=str(root)))
    assert rows == list(read_known_rows(str(url), str(root), limit))
    assert rows == list(scan_images(str(url), limit))
    return rows


def count_scan(folder: Path, url: Path, root: Path, limit: int | None = None) -> dict[str, int]:
    """Count the opens of one scan with knowledge."""
    with count_opens(folder) as opens:
        list(scan_images(str(url), limit, root=str(root)))
    scan(url, root, limit)
    return dict(opens)


def test_a_folder_is_read_once(images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = tmp_path / "runs"
    assert count_scan(images, images, root) == dict.fromkeys(["0.png", "0.txt", "1.png", "2.png", "3.png"], 1)
    assert "hashing" in capsys.readouterr().err
    assert count_scan(images, images, root) == {}
    assert capsys.readouterr().err == ""
    (images / "0.txt").write_text("a red square!")
    assert count_scan(images, images, root) == {"0.txt": 1}
    (images / "2.png").write_bytes(plain("black") + b"longer")
    (images / "1.txt").write_text("new")
    (images / "4.png").write_bytes(plain("pink"))
    (images / "3.png").unlink()
    assert count_scan(images, images, root) == {"2.png": 1, "1.txt": 1, "4.png": 1}
    (images / "4.png").unlink()
    assert count_scan(images, images, root) == {}


def test_a_limit_forgets_nothing(images: Path, tmp_path: Path) -> None:
    root = tmp_path / "runs"
    assert count_scan(images, images, root, 2) == {"0.png": 1, "0.txt": 1, "1.png": 1}
    assert count_scan(images, images, root) == {"2.png": 1, "3.png": 1}
    (images / "0.png").write_bytes(plain("black") + b"longer")
    assert count_scan(images, images, root, 2) == {"0.png": 1, "0.txt": 1}
    assert count_scan(images, images, root) == {}


def test_an_interrupted_scan_keeps_what_it_has_read(images: Path, tmp_path: Path) -> None:
    rows = scan_images(str(images), root=str(tmp_path / "runs"))
    assert [next(rows)["id"] for _ in range(3)] == ["0.png", "1.png", "2.png"]
    rows.close()  # type: ignore[attr-defined]
    assert count_scan(images, images, tmp_path / "runs") == {"3.png": 1}


def test_a_tar_and_a_parquet_file_are_read_once(tmp_path: Path) -> None:
    root, folder = tmp_path / "runs", tmp_path / "sets"
    folder.mkdir()
    tar = tar_of(folder / "set.tar", [(f"{colour}.png", plain(colour)) for colour in COLOURS])
    pq.write_table(pa.table({"image": list(map(plain, COLOURS)), "caption": COLOURS}), folder / "set.parquet")
    for file in (tar, folder / "set.parquet"):
        assert count_scan(folder, file, root, 2) == {file.name: 1}
        assert count_scan(folder, file, root, 2) == {}
        assert count_scan(folder, file, root) == {file.name: 1}
        assert count_scan(folder, file, root, 2) == count_scan(folder, file, root) == {}
    tar_of(tar, [(f"{colour}.png", plain(colour)) for colour in COLOURS[:3]])
    pq.write_table(pa.table({"image": [*map(plain, COLOURS), plain()], "caption": ["c"] * 5}), folder / "set.parquet")
    for file, count in ((tar, 3), (folder / "set.parquet", 5)):
        assert len(scan(file, root, 2)) == 2
        assert len(list(read_known_rows(str(file), str(root)))) == 4, "what is known beyond the limit is kept"
        assert len(scan(file, root)) == count


def test_images_that_a_parquet_file_names_are_read_once(images: Path, tmp_path: Path) -> None:
    root, file = tmp_path / "runs", tmp_path / "set.parquet"
    names = [f"set/{number}.png" for number in range(4)]
    pq.write_table(pa.table({"image": names, "caption": COLOURS}), file)
    assert count_scan(images, file, root) == {f"{number}.png": 1 for number in range(4)}
    assert count_scan(images, file, root) == {}
    (images / "2.png").write_bytes(plain("black") + b"longer")
    assert count_scan(images, file, root) == {"2.png": 1}
    (images / "8.png").write_bytes(plain("pink"))
    pq.write_table(pa.table({"image": [*names, "set/8.png"], "caption": ["x"] * 5}), file)
    assert count_scan(images, file, root) == {"8.png": 1}


def test_two_scans_at_once(images: Path, tmp_path: Path) -> None:
    root, expected = str(tmp_path / "runs"), list(scan_images(str(images)))
    both = zip_longest(scan_images(str(images), root=root), scan_images(str(images), root=root))
    assert list(both) == [(row, row) for row in expected]
    assert list(read_known_rows(str(images), root)) == expected


@pytest.mark.parametrize("damage", [b"", b"no Parquet", None])
def test_damaged_knowledge_is_no_knowledge(images: Path, tmp_path: Path, damage: bytes | None) -> None:
    known = Path(place_known_rows(str(images), str(tmp_path / "runs")))
    known.parent.mkdir(parents=True)
    if damage is None:  # of another version
        pq.write_table(pa.table({"id": ["0.png"], "sha256": [""]}), known)
    else:
        known.write_bytes(damage)
    assert len(scan(images, tmp_path / "runs")) == 5


def test_ids_twice_keep_nothing_from_being_an_error(tmp_path: Path) -> None:
    file = tmp_path / "set.parquet"
    pq.write_table(pa.table({"image": [plain()] * 2, "caption": ["x"] * 2, "id": ["a", "a"]}), file)
    for _ in range(2):
        with pytest.raises(UserError, match="'a' twice"):
            list(scan_images(str(file), root=str(tmp_path / "runs")))


Step = tuple[list[tuple[str, str]], int | None]
EDITS = st.tuples(st.sampled_from("abcd"), st.sampled_from(["image", "caption", "remove", "remove caption"]))
STEPS = st.lists(st.tuples(st.lists(EDITS, max_size=3), st.none() | st.integers(1, 4)), min_size=1, max_size=6)


@settings(max_examples=30, deadline=None)
@given(steps=STEPS, kind=st.sampled_from(["folder", "tar", "parquet", "named"]))
def test_knowledge_never_shows(tmp_path_factory: pytest.TempPathFactory, steps: list[Step], kind: str) -> None:
    """Whatever changes between scans with whatever limits."""
    folder = tmp_path_factory.mktemp("known")
    contents: dict[str, tuple[bytes, str | None]] = {"a": (b"1", None)}
    for size, (edits, limit) in enumerate(steps, start=2):
        for number, (name, edit) in enumerate(edits):
            data = bytes(10 * size + number)  # its own size: the clock of a filesystem is too coarse for a test
            image, caption = contents.get(name, (data, None))
            if edit == "remove" and len(contents) > 1:
                contents.pop(name, None)
            else:
                captions = {"caption": "x" * (10 * size + number), "remove caption": None}
                contents[name] = (data if edit == "image" else image, captions.get(edit, caption))
        scan(write_set(folder, kind, contents, size), folder / "runs", limit)


def write_set(folder: Path, kind: str, contents: dict[str, tuple[bytes, str | None]], size: int) -> Path:
    """Write only what has changed."""
    files = {f"{name}.png": image for name, (image, _) in contents.items()}
    files |= {f"{name}.txt": caption.encode() for name, (_, caption) in contents.items() if caption is not None}
    if kind == "tar":
        return tar_of(folder / "set.tar", sorted([*files.items(), ("pad", bytes(size * 512))]))
    if kind in ("folder", "named"):
        (folder / "set").mkdir(exist_ok=True)
        for path in (folder / "set").iterdir():
            if path.name not in files:
                path.unlink()
        for name, data in files.items():
            if not (folder / "set" / name).exists() or (folder / "set" / name).read_bytes() != data:
                (folder / "set" / name).write_bytes(data)
    if kind == "folder":
        return folder / "set"
    values = [f"set/{name}.png" if kind == "named" else image for name, (image, _) in contents.items()]
    captions = [caption or "" for _, caption in contents.values()]
    table = pa.table({"image": values, "caption": captions, "id": list(contents), "pad": ["x" * size] * len(values)})
    if not (folder / "set.parquet").exists() or pq.read_table(folder / "set.parquet").drop("pad") != table.drop("pad"):
        pq.write_table(table, folder / "set.parquet")
    return folder / "set.parquet"


@pytest.fixture
def bucket(tmp_path: Path) -> Iterator[CountingProxy]:
    """gs://bucket behind a proxy that counts the downloads."""
    (tmp_path / "gcs" / "bucket").mkdir(parents=True)
    port, proxy_port = servers.free_port(), servers.free_port()
    server = servers.start_gcs(tmp_path / "gcs", port, f"http://127.0.0.1:{proxy_port}")
    try:
        proxy = CountingProxy(f"http://127.0.0.1:{port}", proxy_port)
        with proxy, servers.options("gs", **servers.gs_options(proxy.address)):
            yield proxy
    finally:
        servers.stop(server)


def test_objects_with_a_checksum_are_not_read_to_be_identified(bucket: CountingProxy, tmp_path: Path) -> None:
    fs = fsspec.filesystem("gs")
    fs.pipe({f"bucket/set/{number}.png": plain(colour) for number, colour in enumerate(COLOURS)})
    fs.pipe("bucket/set/0.txt", b"a red square")
    rows = list(scan_images("gs://bucket/set", root="gs://bucket/runs"))
    assert bucket.downloads == {"0.txt": 1}
    assert [row["checksum"].partition(":")[0] for row in rows] == ["md5"] * 4
    assert list(scan_images("gs://bucket/set", root="gs://bucket/runs")) == rows
    assert list(read_known_rows("gs://bucket/set", "gs://bucket/runs")) == rows
    images = {name: count for name, count in bucket.downloads.items() if not name.endswith(".parquet")}
    assert images == {"0.txt": 1}
    assert list(read_images([row["uri"] for row in rows])) == list(map(plain, COLOURS))
    images = {name: count for name, count in bucket.downloads.items() if not name.endswith(".parquet")}
    assert images == {"0.txt": 1, **{f"{number}.png": 1 for number in range(4)}}
    fs.pipe("bucket/set/0.png", plain("black"))
    [changed, *others] = scan_images("gs://bucket/set", root="gs://bucket/runs")
    assert changed["checksum"] != rows[0]["checksum"]
    assert others == rows[1:]


def test_the_etag_of_s3_is_a_checksum(s3_root: str) -> None:
    fs = fsspec.filesystem("s3")
    fs.pipe({f"bucket/known/{number}.png": plain(colour) for number, colour in enumerate(COLOURS)})
    rows = list(scan_images(f"{s3_root}/known", root=f"{s3_root}/runs"))
    assert [row["checksum"].partition(":")[0] for row in rows] == ["etag"] * 4
    assert list(scan_images(f"{s3_root}/known", root=f"{s3_root}/runs")) == rows
