"""The known rows of an image set, as last scanned, in ``{root}/inputs/{digest of its URL}.parquet``.

Each row has a ``version``: the versions of the files that the row was read from, separated by spaces. A row whose
version has not changed is taken from here, so that an unchanged set is listed and not read.
"""

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import islice

import pyarrow as pa
import pyarrow.parquet as pq

from storage import locations
from storage.identity import digest
from storage.inputs.rows import Row

SCHEMA = pa.schema([(name, pa.string()) for name in ("id", "caption", "uri", "checksum", "reason", "version")])
BATCH = 4096  # rows
WHOLE = b"whole"


def place_known_rows(url: str, root: str) -> str:
    """Return the URL of the file with the known rows of the image set at ``url``."""
    return locations.join(locations.make_absolute(root), "inputs", f"{digest(locations.make_absolute(url))}.parquet")


class KnownRows:
    """The known rows of a set, in the set's order. The function that scans the set takes them one by one.

    ``whole``: the version of the set's file if these are all of its rows; empty for a folder, or if rows may be
    missing. ``taken``: the row that was taken last. ``skipped``: whether known rows are no longer in the set.

    The scanning function sets ``version``, the current version of the set's file, and ``total``, the number of the
    set's rows, once it knows them.
    """

    def __init__(self, parquet: pq.ParquetFile | None = None) -> None:
        self.whole = parquet.metadata.metadata[WHOLE].decode() if parquet else ""
        self.taken: Row | None = None
        self.skipped = False
        self.version = ""
        self.total: int | None = None
        self._parquet = parquet
        self._rows = self._read()
        self._next = next(self._rows, None)

    @property
    def left(self) -> bool:
        """Whether there are rows that have not been taken."""
        return self._next is not None

    def take(self) -> Row | None:
        """Take the next row; None if there is none."""
        self.taken, self._next = self._next, next(self._rows, None)
        return self.taken

    def take_version(self, version: str) -> Iterator[Row]:
        """Take rows as long as they were read from this version of the set's file."""
        while version and self._next and self._next["version"].split(" ")[0] == version and (row := self.take()):
            yield row

    def take_uri(self, uri: str) -> Row | None:
        """Take the row with this URI; None if there is none. Call it with ascending URIs."""
        self.taken = None
        while self._next and self._next["uri"] < uri:
            self._next, self.skipped = next(self._rows, None), True
        return self.take() if self._next and self._next["uri"] == uri else None

    def take_rest(self) -> Iterator[Row]:
        """Take all remaining rows."""
        while row := self.take():
            yield row

    def repeat(self, count: int) -> Iterator[Row]:
        """Yield the first ``count`` rows again."""
        return islice(self._read(), count)

    def _read(self) -> Iterator[Row]:
        return _read(self._parquet) if self._parquet else iter(())


@contextmanager
def open_known_rows(place: str) -> Iterator[KnownRows]:
    """Open a set's known rows. There are none if the file is missing, damaged or of another version."""
    with ExitStack() as stack:
        try:
            path = stack.enter_context(locations.open_local_copy(place))
            parquet = stack.enter_context(pq.ParquetFile(path, pre_buffer=False))
        except (FileNotFoundError, pa.ArrowInvalid):
            parquet = None
        yield KnownRows(parquet if parquet and parquet.schema_arrow.names == SCHEMA.names else None)


def read_known_rows(url: str, root: str, limit: int | None = None) -> Iterator[Row]:
    """Yield the rows of the image set at ``url`` as they were last scanned: at most ``limit``, or all."""
    place = place_known_rows(url, root)
    with locations.open_local_copy(place) as path, pq.ParquetFile(path, pre_buffer=False) as parquet:
        yield from islice(_read(parquet), limit)


def _read(parquet: pq.ParquetFile) -> Iterator[Row]:
    for batch in parquet.iter_batches(BATCH):
        yield from batch.to_pylist()


class KnownRowsUpdate:
    """Collects the rows of a scan, which replace the known rows if they differ. The file is replaced in one step."""

    def __init__(self, place: str, known: KnownRows) -> None:
        self.count = 0
        self._place, self._known = place, known
        self._writer: pq.ParquetWriter | None = None
        self._rows: list[Row] = []

    def add(self, row: Row) -> bool:
        """Append a row. Returns whether it is new."""
        new = row != self._known.taken
        if new or self._known.skipped:
            self._start()
        if self._writer:
            self._append(row)
        self.count += 1
        return new

    def finish(self, complete: bool) -> None:
        """Replace the file if anything has changed.

        ``complete``: whether all rows of the set were scanned. If not, the known rows after them are kept.
        """
        whole = self._known.version if complete else ""
        if complete and (self._known.left or self._known.whole != whole):
            self._start()
        if not self._writer:
            return
        if not complete:
            for row in self._known.take_rest():
                self._append(row)
        self._flush()
        self._writer.add_key_value_metadata({WHOLE: whole.encode()})
        self._writer.close()
        with self._file:
            self._file.flush()
            locations.write_file(self._place, self._file.name)

    def _start(self) -> None:
        """Begin to write, at the first difference: first the equal rows before it."""
        if self._writer:
            return
        self._file = tempfile.NamedTemporaryFile()  # noqa: SIM115  # millions of rows do not fit in memory
        self._writer = pq.ParquetWriter(self._file, SCHEMA, compression="zstd")
        for row in self._known.repeat(self.count):
            self._append(row)

    def _append(self, row: Row) -> None:
        self._rows.append(row)
        if len(self._rows) == BATCH:
            self._flush()

    def _flush(self) -> None:
        assert self._writer
        self._writer.write_table(pa.Table.from_pylist(self._rows, SCHEMA))
        self._rows = []
