"""Image input sets: a folder, Parquet files, or WebDataset tars, at any fsspec URL.

``scan_images`` walks a set once and yields its rows in the set's own order (a folder: by path);
``read_images`` fetches the bytes of some rows by their ``uri``:

    {folder}/cat.png            a file of its own
    {file}.parquet#17           row 17, column ``image`` (bytes, or a struct with ``bytes``)
    {file}.tar#1536:2048        2048 bytes from offset 1536
"""

import hashlib
import itertools
import posixpath
import re
import tarfile
from collections.abc import Iterable, Iterator
from typing import Any

import fsspec
import pyarrow.parquet as pq

from storage import locations
from storage.errors import UserError

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff")
CAPTION_COLUMNS = ("caption", "Prompt", "prompt", "text")
PLACE = re.compile(r"(?<=\.parquet)#\d+$|(?<=\.tar)#\d+:\d+$")
Row = dict[str, str]


def scan_images(url: str) -> Iterator[Row]:
    """Rows (id, caption, uri, sha256) of an image set; raises UserError where there is none."""
    fs, path = fsspec.url_to_fs(url)
    if not fs.exists(path):
        raise UserError("an image folder, .parquet or .tar", f"nothing at {url}", "check --images")
    if path.endswith(".parquet"):
        rows = _scan_parquet(url)
    elif path.endswith(".tar"):
        rows = _scan_tar(url)
    elif fs.isdir(path):
        rows = _scan_folder(url)
    else:
        raise UserError("an image folder, .parquet or .tar", f"the file {url}", "check --images")
    first = next(rows, None)
    if first is None:
        raise UserError(f"images ({', '.join(SUFFIXES)})", f"none in {url}", "check --images")
    return without_duplicates(itertools.chain([first], rows), url)


def without_duplicates(rows: Iterable[Row], url: str) -> Iterator[Row]:
    """Pass the rows on; a second row of the same id is an error that names it."""
    seen: set[str] = set()
    for row in rows:
        if row["id"] in seen:
            raise UserError("every id once", f"{row['id']!r} twice in {url}", "make the ids unique")
        seen.add(row["id"])
        yield row


def read_images(uris: list[str]) -> Iterator[bytes]:
    """The encoded bytes of each row, in order. Neighbouring rows of one Parquet file share a read."""
    for container, group in itertools.groupby(uris, key=_container):
        if container.endswith(".parquet"):
            yield from _read_parquet_rows(container, [int(uri.rpartition("#")[2]) for uri in group])
        else:
            yield from (_read_one(uri) for uri in group)


def _container(uri: str) -> str:
    """The Parquet file or tar that a row lies in; for a file of its own, nothing."""
    place = PLACE.search(uri)
    return uri[: place.start()] if place else ""


def _read_one(uri: str) -> bytes:
    container = _container(uri)
    if not container:
        return locations.read_bytes(uri)
    offset, size = map(int, uri.rpartition("#")[2].split(":"))
    fs, path = fsspec.url_to_fs(container)
    return bytes(fs.read_block(path, offset, size))


def _scan_folder(url: str) -> Iterator[Row]:
    fs, root = fsspec.url_to_fs(url)
    found = fs.find(root)
    sidecars = {path for path in found if path.endswith(".txt")}
    for path in sorted(path for path in found if path.lower().endswith(SUFFIXES)):
        stem = posixpath.splitext(path)[0]
        sidecar = f"{stem}.txt"
        caption = fs.cat_file(sidecar).decode().strip() if sidecar in sidecars else posixpath.basename(stem)
        uri = path if "file" in locations.protocols(fs) else fs.unstrip_protocol(path)
        yield {
            "id": posixpath.relpath(path, root),
            "caption": caption,
            "uri": uri,
            "sha256": _sha256(fs.cat_file(path)),
        }


def _scan_parquet(url: str) -> Iterator[Row]:
    fs, path = fsspec.url_to_fs(url)
    with fs.open(path, "rb") as file:
        parquet = pq.ParquetFile(file)
        columns = parquet.schema_arrow.names
        caption = next((name for name in CAPTION_COLUMNS if name in columns), None)
        if "image" not in columns or caption is None:
            raise UserError(
                f"the columns 'image' and one of {CAPTION_COLUMNS}", f"{columns} in {url}", "rename the columns"
            )
        wanted = ["image", caption, *(["id"] if "id" in columns else [])]
        row = 0
        for batch in parquet.iter_batches(256, columns=wanted):
            for record in batch.to_pylist():
                data = _image_bytes(record["image"])
                yield {
                    "id": str(record.get("id", row)),
                    "caption": record[caption] or "",
                    "uri": f"{url}#{row}",
                    "sha256": _sha256(data),
                }
                row += 1


def _read_parquet_rows(url: str, rows: list[int]) -> Iterator[bytes]:
    fs, path = fsspec.url_to_fs(url)
    with fs.open(path, "rb") as file:
        parquet = pq.ParquetFile(file)
        sizes = [parquet.metadata.row_group(group).num_rows for group in range(parquet.metadata.num_row_groups)]
        starts = [0, *itertools.accumulate(sizes)]
        loaded, images = -1, []
        for row in rows:
            group = next(g for g in range(len(sizes)) if row < starts[g + 1])
            if group != loaded:
                loaded, images = group, parquet.read_row_group(group, columns=["image"])["image"].to_pylist()
            yield _image_bytes(images[row - starts[group]])


def _scan_tar(url: str) -> Iterator[Row]:
    """WebDataset: ``KEY.jpg`` with its caption in ``KEY.txt``, next to each other."""
    fs, path = fsspec.url_to_fs(url)
    with fs.open(path, "rb") as file, tarfile.open(fileobj=file, mode="r:") as tar:
        members = (member for member in tar if member.isfile())
        for key, group in itertools.groupby(members, key=lambda member: posixpath.splitext(member.name)[0]):
            image: Row | None = None
            caption = posixpath.basename(key)
            for member in group:
                content = tar.extractfile(member)
                data = content.read() if content else b""
                if member.name.lower().endswith(SUFFIXES):
                    uri = f"{url}#{member.offset_data}:{member.size}"
                    image = {"id": member.name, "uri": uri, "sha256": _sha256(data)}
                elif member.name.endswith(".txt"):
                    caption = data.decode().strip()
            if image:
                yield {**image, "caption": caption}


def _image_bytes(value: Any) -> bytes:
    """Parquet keeps images as bytes or, Hugging Face's way, as a struct with ``bytes``; a null is an empty image."""
    data = value["bytes"] if isinstance(value, dict) else value
    return data or b""


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def limited(rows: Iterable[Row], limit: int | None) -> Iterator[Row]:
    """The first so many rows, or all of them."""
    return itertools.islice(rows, limit)
