"""Image input sets: a folder, Parquet files, or WebDataset tars, at any fsspec URL.

``scan_images`` walks a set once and yields its rows in the set's own order (a folder: by path);
``read_images`` fetches the bytes of some rows by their ``uri``:

    {folder}/cat.png            a file of its own
    {file}.parquet#17           row 17, column ``image`` (bytes, or a struct with ``bytes``)
    {file}.tar#1536:2048        2048 bytes from offset 1536
    refused:a reason            an image that is not there to be read

What cannot be used of a set is refused row by row (``storage.inputs.rows.refusal`` gives the reason); a set
that cannot be read as a whole raises UserError.
"""

import itertools
import re
from collections.abc import Iterator

import fsspec

from storage.errors import UserError
from storage.inputs.image_files import read_image
from storage.inputs.image_folder import SUFFIXES, scan_folder
from storage.inputs.image_parquet import read_rows, scan_parquet
from storage.inputs.image_tar import scan_tar
from storage.inputs.rows import Row, check_unique_ids, limit_rows, refusal

__all__ = ["Row", "limit_rows", "read_images", "scan_images"]

PARQUET_PLACE = re.compile(r"(?<=\.parquet)#\d+$")


def scan_images(url: str) -> Iterator[Row]:
    """Rows (id, caption, uri, sha256) of an image set; raises UserError where there is none."""
    fs, path = fsspec.url_to_fs(url)
    if not fs.exists(path):
        raise UserError("an image folder, .parquet or .tar", f"nothing at {url}", "check --images")
    if path.endswith(".parquet"):
        rows = scan_parquet(url)
    elif path.endswith(".tar"):
        rows = scan_tar(url)
    elif fs.isdir(path):
        rows = scan_folder(url)
    else:
        raise UserError("an image folder, .parquet or .tar", f"the file {url}", "check --images")
    first = next(rows, None)
    if first is None:
        raise UserError(f"images ({', '.join(SUFFIXES)})", f"none in {url}", "check --images")
    return check_unique_ids(itertools.chain([first], rows), url)


def read_images(uris: list[str]) -> Iterator[bytes]:
    """The encoded bytes of each row, in order. Neighbouring rows of one Parquet file share a read.

    Raises ValueError for a row that was refused.
    """
    for parquet, group in itertools.groupby(uris, key=_parquet):
        if parquet:
            yield from read_rows(parquet, [int(uri.rpartition("#")[2]) for uri in group])
        else:
            yield from map(_read_one, group)


def _read_one(uri: str) -> bytes:
    if reason := refusal(uri):
        raise ValueError(f"an image that was refused: {reason}")
    return read_image(uri)


def _parquet(uri: str) -> str:
    """The Parquet file that a row lies in, if any."""
    place = PARQUET_PLACE.search(uri)
    return uri[: place.start()] if place else ""
