"""What is known of an image set: its rows as they were last scanned, in ``{root}/inputs/{digest of its URL}.parquet``.

Beside each row stands its ``version``: the versions of what the row was read from, separated by spaces. A row whose
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
    """URL of what is known of the image set at ``url``."""
    return locations.join(locations.make_absolute(root), "inputs", f"{digest(locations.make_absolute(url))}.parquet")


class KnownRows:
    """The known rows of a set, handed out in the set's order to the function that scans it.

    ``whole``: the version of the file whose rows these all are; empty for a folder, or if rows may be missing.
    ``taken``: the row that was handed out last. ``skipped``: whether the set has lost rows meanwhile.

    The function that scans the set fills in ``version``, the version of the file that it reads, and ``total``, the
    number of the set's rows, as soon as it knows it.
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
        """Whether there are rows that have not been handed out."""
        return self._next is not None

    def take(self) -> Row | None:
        """Hand out the next row."""
        self.taken, self._next = self._next, next(self._rows, None)
        return self.taken

    def take_version(self, version: str) -> Iterator[Row]:
        """Hand out rows as long as they were read from this version of the set's file."""
        while version and self._next and self._next["version"].split(" ")[0] == version and (row := self.take()):
            yield row

    def take_uri(self, uri: str) -> Row | None:
        """Hand out the row with this URI, if there is one. The rows must be in the order of their URIs."""
        self.taken = None
        while self._next and self._next["uri"] < uri:
            self._next, self.skipped = next(self._rows, None), True
        return self.take() if self._next and self._next["uri"] == uri else None

    def take_rest(self) -> Iterator[Row]:
        """Hand out the rows that are left."""
        while row := self.take():
            yield row

    def repeat(self, count: int) -> Iterator[Row]:
        """The first rows once more."""
        return islice(self._read(), count)

    def _read(self) -> Iterator[Row]:
        return _read(self._parquet) if self._parquet else iter(())


@contextmanager
def open_known_rows(place: str) -> Iterator[KnownRows]:
    """Open what is known of a set: nothing, if the file is missing, damaged or of another version."""
    with ExitStack() as stack:
        try:
            path = stack.enter_context(locations.local_copy(place))
            parquet = stack.enter_context(pq.ParquetFile(path, pre_buffer=False))
        except (FileNotFoundError, pa.ArrowInvalid):
            parquet = None
        yield KnownRows(parquet if parquet and parquet.schema_arrow.names == SCHEMA.names else None)


def read_known_rows(url: str, root: str, limit: int | None = None) -> Iterator[Row]:
    """Yield the rows of the image set at ``url`` as they were last scanned: the first ``limit`` of them, or all."""
    place = place_known_rows(url, root)
    with locations.local_copy(place) as path, pq.ParquetFile(path, pre_buffer=False) as parquet:
        yield from islice(_read(parquet), limit)


def _read(parquet: pq.ParquetFile) -> Iterator[Row]:
    for batch in parquet.iter_batches(BATCH):
        yield from batch.to_pylist()


class KnownRowsUpdate:
    """The rows of a scan, which replace what was known if they differ. The file is put in place in one step."""

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
        """Put the file in place if something has changed.

        ``complete``: whether the rows are all of the set's. If not, what is known beyond them is kept.
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
        """Nothing is written up to the first difference, and everything from there on."""
        if self._writer:
            return
        self._file = tempfile.NamedTemporaryFile()  # noqa: SIM115  # in memory, millions of rows would be too many
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
