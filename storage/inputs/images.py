"""Image input sets: a folder, a Parquet file or a WebDataset tar, at any fsspec URL.

``scan_images`` yields a set's rows in the set's own order (a folder's by path), and ``read_images`` reads the bytes
of some rows by their ``uri``:

    {folder}/cat.png            a file of its own
    {file}.parquet#17           row 17, column ``image`` (bytes, or a struct with ``bytes``)
    {file}.tar#1536:2048        2048 bytes from offset 1536

Images that cannot be used are rejected row by row, with a reason. A set that cannot be read at all is a UserError.
"""

import itertools
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import fsspec
from tqdm import tqdm

from storage.errors import UserError
from storage.inputs.image_files import SHA256, read_image
from storage.inputs.image_folder import SUFFIXES, scan_folder
from storage.inputs.image_parquet import read_rows, scan_parquet
from storage.inputs.image_tar import scan_tar
from storage.inputs.known_rows import KnownRows, KnownRowsUpdate, open_known_rows, place_known_rows
from storage.inputs.rows import Row
from storage.inputs.unique_ids import check_unique_ids

PARQUET_PLACE = re.compile(r"(?<=\.parquet)#\d+$")
Scan = Callable[[str, KnownRows], Iterator[Row]]


def scan_images(url: str, limit: int | None = None, root: str | None = None) -> Iterator[Row]:
    """Yield the rows of an image set, or its first ``limit``. Raises UserError if there is no set at ``url``.

    With ``root`` the rows are kept below it (see ``known_rows``), and only what has changed since is read. A progress
    bar is shown as long as images are hashed.
    """
    scan = _find_scan(url)
    rows = _scan_known(scan, url, limit, root) if root else itertools.islice(scan(url, KnownRows()), limit)
    first = next(rows, None)
    if first is None:
        raise UserError(f"images ({', '.join(SUFFIXES)})", f"none in {url}", "check --images")
    return check_unique_ids(itertools.chain([first], rows), url)


def _find_scan(url: str) -> Scan:
    fs, path = fsspec.url_to_fs(url)
    if not fs.exists(path):
        raise UserError("an image folder, .parquet or .tar", f"nothing at {url}", "check --images")
    if path.endswith(".parquet"):
        return scan_parquet
    if path.endswith(".tar"):
        return scan_tar
    if fs.isdir(path):
        return scan_folder
    raise UserError("an image folder, .parquet or .tar", f"the file {url}", "check --images")


def _scan_known(scan: Scan, url: str, limit: int | None, root: str) -> Iterator[Row]:
    """Scan a set beside what is known of it, and keep what is new. A scan cut short keeps what it has read."""
    place = place_known_rows(url, root)
    with ExitStack() as stack:
        known = stack.enter_context(open_known_rows(place))
        update, complete, bar = KnownRowsUpdate(place, known), False, None
        try:
            for row in itertools.islice(scan(url, known), limit):
                if update.add(row) and bar is None and row["checksum"].startswith(SHA256):
                    total = min(filter(None, (known.total, limit)), default=None)
                    bar = stack.enter_context(
                        tqdm(desc=" hashing", total=total, initial=update.count - 1, unit="image")
                    )
                if bar is not None:
                    bar.update()
                yield row
            complete = limit is None or update.count < limit
        finally:
            update.finish(complete)


def read_images(uris: list[str]) -> Iterator[bytes]:
    """Yield the encoded bytes of each row that was not rejected. Neighbouring rows of one Parquet file share a read."""
    for parquet, group in itertools.groupby(uris, key=_find_parquet):
        if parquet:
            yield from read_rows(parquet, [int(uri.rpartition("#")[2]) for uri in group])
        else:
            yield from map(read_image, group)


def _find_parquet(uri: str) -> str:
    """The Parquet file that holds a row, if any."""
    place = PARQUET_PLACE.search(uri)
    return uri[: place.start()] if place else ""
