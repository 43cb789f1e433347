"""Image input sets: a folder, a Parquet file or a WebDataset tar, at any fsspec URL.

``scan_images`` yields a set's rows in the set's own order (a folder's by path). ``read_images`` reads the encoded
images of rows by their ``uri``:

    {folder}/cat.png            a file
    {file}.parquet#17           row 17 of the column ``image`` (bytes, or a struct with ``bytes``)
    {file}.tar#1536:2048        2048 bytes from offset 1536

An image that cannot be used becomes a rejected row with a reason. A set that cannot be read raises UserError.
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
    """Yield the rows of an image set, in the set's own order. Shows a progress bar while it hashes images.

    Args:
        url: Path or fsspec URL of a folder, a .parquet file or a .tar file.
        limit: Number of rows to yield at most. Default: all.
        root: Folder or URL to keep the rows below, so that the next scan reads only what has changed (see
            ``known_rows``). Default: the rows are not kept.

    Raises:
        UserError: There is no image set at ``url``, it has no images, or an id occurs twice.
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
    """Scan a set together with its known rows, and keep the new ones. An interrupted scan keeps what it has read."""
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
    """Yield the encoded image at each URI, in order. Adjacent rows of one Parquet file share a read."""
    for parquet, group in itertools.groupby(uris, key=_find_parquet):
        if parquet:
            yield from read_rows(parquet, [int(uri.rpartition("#")[2]) for uri in group])
        else:
            yield from map(read_image, group)


def _find_parquet(uri: str) -> str:
    """Return the URL of the Parquet file that holds the image; empty if it is elsewhere."""
    place = PARQUET_PLACE.search(uri)
    return uri[: place.start()] if place else ""
