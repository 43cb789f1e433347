"""Images in a Parquet file: as bytes, as Hugging Face's struct of ``bytes`` and ``path``, or as URIs.

A relative URI, and a struct's ``path``, is relative to the Parquet file.
"""

import bisect
import hashlib
import itertools
import os
import posixpath
from collections.abc import Iterator
from typing import Any

import fsspec
import pyarrow as pa

from storage import locations
from storage.errors import UserError
from storage.inputs.image_files import MAX_BYTES, UnreadableError, read_checked, too_large
from storage.inputs.parquet import cells, holds_bytes, holds_text, open_parquet
from storage.inputs.rows import CAPTION_COLUMNS, Row, add_caption, refused, replace_surrogates

IMAGE_COLUMNS = ("image", "uri", "url")
BATCH = 4  # images, held at a time


def scan_parquet(url: str) -> Iterator[Row]:
    with open_parquet(url) as parquet:
        schema = parquet.schema_arrow
        image = next((name for name in IMAGE_COLUMNS if name in schema.names), None)
        caption = next((name for name in CAPTION_COLUMNS if name in schema.names), None)
        if image is None or caption is None:
            expected = f"one of the columns {IMAGE_COLUMNS} and one of {CAPTION_COLUMNS}"
            raise UserError(expected, f"{schema.names} in {url}", "rename the columns")
        _check_types(schema, image, caption, url)
        wanted = [image, caption, *(["id"] if "id" in schema.names else [])]
        for number, values in enumerate(cells(parquet, wanted, BATCH)):
            name = str(values[2]) if len(values) == 3 else str(number)
            if len(values) == 3 and values[2] is None:
                raise UserError(
                    "an id in every row", f"null in row {number} of {url}", "fill it in, or drop the column"
                )
            yield add_caption(_content({"id": replace_surrogates(name)}, values[0], url, number), values[1] or "")


def _check_types(schema: pa.Schema, image: str, caption: str, url: str) -> None:
    """Raises UserError unless the columns can hold what they are named for."""
    kind = schema.field(image).type
    parts = {kind.field(i).name: kind.field(i).type for i in range(kind.num_fields)} if pa.types.is_struct(kind) else {}
    fits = holds_bytes(parts.get("bytes", pa.null())) and holds_text(parts.get("path", pa.null()))
    if not (holds_bytes(kind) or holds_text(kind) or (parts.keys() & {"bytes", "path"} and fits)):
        expected = f"bytes, a struct of bytes and path, or URIs in the column {image!r}"
        raise UserError(expected, f"{kind} in {url}", "write the encoded images' bytes")
    if not holds_text(schema.field(caption).type):
        raise UserError(f"text in the column {caption!r}", f"{schema.field(caption).type} in {url}", "write it as text")


def _content(row: Row, value: Any, url: str, number: int) -> Row:
    """The row with where its image is, and its checksum."""
    data, uri = _bytes_or_uri(value)
    try:
        if uri:
            where = resolve(uri, url)
            return {**row, "uri": where, "sha256": hashlib.sha256(read_checked(where)).hexdigest()}
        if not data:
            raise UnreadableError("empty: 0 bytes")
        if len(data) > MAX_BYTES:
            raise UnreadableError(too_large(len(data)))
    except UnreadableError as error:
        return refused({**row, "sha256": hashlib.sha256((uri or "").encode()).hexdigest()}, str(error))
    return {**row, "uri": f"{url}#{number}", "sha256": hashlib.sha256(data).hexdigest()}


def _bytes_or_uri(value: Any) -> tuple[bytes | None, str | None]:
    if isinstance(value, dict):
        data, path = value.get("bytes"), value.get("path")
        return (data, None) if data is not None else (None, path)
    return (None, value) if isinstance(value, str) else (value, None)


def resolve(uri: str, parquet_url: str) -> str:
    """Where a URI in a Parquet file leads; raises UnreadableError where a remote file names a local one."""
    fs, path = fsspec.url_to_fs(parquet_url)
    local = "file" in locations.protocols(fs)
    if "://" in uri or "::" in uri:
        target = uri
    elif local:
        target = os.path.join(posixpath.dirname(path), uri)
    else:
        target = fs.unstrip_protocol(posixpath.normpath(posixpath.join(posixpath.dirname(path), uri.lstrip("/"))))
    if not local and target.split("::")[-1].startswith(("file:", "local:")):
        raise UnreadableError("a local file, named by a remote one")
    return target


def read_rows(url: str, rows: list[int]) -> Iterator[bytes]:
    """Images that are held as bytes, in any order; ascending rows of one row group share a pass over it."""
    with open_parquet(url) as parquet:
        sizes = [parquet.metadata.row_group(group).num_rows for group in range(parquet.metadata.num_row_groups)]
        starts = [0, *itertools.accumulate(sizes)]
        group, position = -1, 0
        images: Iterator[tuple[Any, ...]] = iter(())
        for row in rows:
            wanted = bisect.bisect_right(starts, row) - 1
            if wanted != group or row < position:
                group, position = wanted, starts[wanted]
                images = cells(parquet, ["image"], BATCH, [group])
            [value] = next(itertools.islice(images, row - position, None))
            position = row + 1
            yield _bytes_or_uri(value)[0] or b""
