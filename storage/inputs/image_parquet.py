"""Images in a Parquet file: as bytes, as Hugging Face's struct of ``bytes`` and ``path``, or as URIs.

URIs and paths may be relative to the Parquet file.
"""

import bisect
import itertools
import os
import posixpath
from collections.abc import Iterator
from typing import Any

import fsspec
import pyarrow as pa

from storage import locations
from storage.errors import UserError
from storage.inputs.file_states import read_version
from storage.inputs.image_files import check_size, hash_content, read_named_image, read_named_state
from storage.inputs.known_rows import KnownRows
from storage.inputs.parquet import holds_bytes, holds_text, open_parquet, read_cells
from storage.inputs.rows import CAPTION_COLUMNS, RejectedImageError, Row, add_caption, new_row, reject

IMAGE_COLUMNS = ("image", "uri", "url")
BATCH = 4  # images in memory at a time


def scan_parquet(url: str, known: KnownRows) -> Iterator[Row]:
    """Yield the rows of a file. A row is known if neither the file nor the image at its URI has changed."""
    known.version = version = read_version(url)
    count = 0
    for count, row in enumerate(known.take_version(version), start=1):  # noqa: B007
        yield _scan_named({**row, "checksum": "", "reason": ""}, version, row) if " " in row["version"] else row
    if not version or known.whole != version:
        yield from _scan_rows(url, known, version, count)


def _scan_rows(url: str, known: KnownRows, version: str, start: int) -> Iterator[Row]:
    """Read the file, and yield its rows from row ``start`` on."""
    with open_parquet(url) as parquet:
        known.total = parquet.metadata.num_rows
        schema = parquet.schema_arrow
        image = next((name for name in IMAGE_COLUMNS if name in schema.names), None)
        caption = next((name for name in CAPTION_COLUMNS if name in schema.names), None)
        if image is None or caption is None:
            expected = f"one of the columns {IMAGE_COLUMNS} and one of {CAPTION_COLUMNS}"
            raise UserError(expected, f"{schema.names} in {url}", "rename the columns")
        _check_types(schema, image, caption, url)
        wanted = [image, caption, *(["id"] if "id" in schema.names else [])]
        for number, values in enumerate(itertools.islice(read_cells(parquet, wanted, BATCH), start, None), start=start):
            name = str(values[2]) if len(values) == 3 else str(number)
            if len(values) == 3 and values[2] is None:
                raise UserError(
                    "an id in every row", f"null in row {number} of {url}", "fill it in, or drop the column"
                )
            row = {**add_caption(new_row(name, f"{url}#{number}"), values[1] or ""), "version": version}
            yield _add_content(row, values[0], url, known.take())


def _check_types(schema: pa.Schema, image: str, caption: str, url: str) -> None:
    """Raise UserError unless the columns' types can hold images and captions."""
    kind = schema.field(image).type
    parts = {kind.field(i).name: kind.field(i).type for i in range(kind.num_fields)} if pa.types.is_struct(kind) else {}
    fits = holds_bytes(parts.get("bytes", pa.null())) and holds_text(parts.get("path", pa.null()))
    if not (holds_bytes(kind) or holds_text(kind) or (parts.keys() & {"bytes", "path"} and fits)):
        expected = f"bytes, a struct of bytes and path, or URIs in the column {image!r}"
        raise UserError(expected, f"{kind} in {url}", "write the encoded images' bytes")
    if not holds_text(schema.field(caption).type):
        raise UserError(f"text in the column {caption!r}", f"{schema.field(caption).type} in {url}", "write it as text")


def _add_content(row: Row, value: Any, url: str, old: Row | None) -> Row:
    """Return the row with its image's checksum and, if the file names the image by a URI, with that URI.

    ``old``: the known row at this position in the file.
    """
    data, uri = _split_value(value)
    if row["reason"]:
        return row
    try:
        if uri:
            return _scan_named({**row, "uri": resolve(uri, url)}, row["version"], old)
        if not data:
            raise RejectedImageError("empty: 0 bytes")
        check_size(len(data))
    except RejectedImageError as error:
        return reject(row, str(error))
    return {**row, "checksum": hash_content(data)}


def _scan_named(row: Row, version: str, old: Row | None) -> Row:
    """Return a row that names its image by a URI, with the image's checksum and version.

    ``version``: the Parquet file's version. The image is not read if ``old`` has the image's current version.
    """
    row = {**row, "version": f"{version} "}
    try:
        state = read_named_state(row["uri"])
        check_size(state.size)
        known = old and state.version and old["uri"] == row["uri"] and old["version"].endswith(f" {state.version}")
        checksum = state.checksum or (old["checksum"] if old and known else "")
        checksum = checksum or hash_content(read_named_image(row["uri"]))
    except RejectedImageError as error:
        return reject(row, str(error))
    return {**row, "checksum": checksum, "version": f"{version} {state.version}"}


def _split_value(value: Any) -> tuple[bytes | None, str | None]:
    if isinstance(value, dict):
        data, path = value.get("bytes"), value.get("path")
        return (data, None) if data is not None else (None, path)
    return (None, value) if isinstance(value, str) else (value, None)


def resolve(uri: str, parquet_url: str) -> str:
    """Make a URI in a Parquet file absolute. Raises RejectedImageError if a remote file names a local one."""
    fs, path = fsspec.url_to_fs(parquet_url)
    local = locations.is_local(fs)
    if "://" in uri or "::" in uri:
        target = uri
    elif local:
        target = os.path.join(posixpath.dirname(path), uri)
    else:
        target = fs.unstrip_protocol(posixpath.normpath(posixpath.join(posixpath.dirname(path), uri.lstrip("/"))))
    if not local and target.split("::")[-1].startswith(("file:", "local:")):
        raise RejectedImageError("a local file, named by a remote one")
    return target


def read_rows(url: str, rows: list[int]) -> Iterator[bytes]:
    """Yield the images that the file holds as bytes in these rows. Ascending rows share a pass over a row group."""
    with open_parquet(url) as parquet:
        sizes = [parquet.metadata.row_group(group).num_rows for group in range(parquet.metadata.num_row_groups)]
        starts = [0, *itertools.accumulate(sizes)]
        group, position = -1, 0
        images: Iterator[tuple[Any, ...]] = iter(())
        for row in rows:
            wanted = bisect.bisect_right(starts, row) - 1
            if wanted != group or row < position:
                group, position = wanted, starts[wanted]
                images = read_cells(parquet, ["image"], BATCH, [group])
            [value] = next(itertools.islice(images, row - position, None))
            position = row + 1
            yield _split_value(value)[0] or b""
