"""Check that each id of an input set occurs once, in bounded memory."""

import itertools
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing

from storage.errors import UserError
from storage.inputs.rows import Row

NAMED, LOOKED_AT = 3, 1000
SETTINGS = """
    PRAGMA journal_mode = OFF;
    PRAGMA synchronous = OFF;
    PRAGMA cache_size = -65536;  -- KiB
    CREATE TABLE ids (id TEXT PRIMARY KEY, number INTEGER) WITHOUT ROWID;
    BEGIN;
"""


def check_unique_ids(rows: Iterable[Row], url: str) -> Iterator[Row]:
    """Yield the rows. Raises UserError at the first id that occurs twice; the message names up to NAMED such ids.

    The ids are in a temporary database on disk, because tens of millions of Python strings do not fit in memory.
    """
    rows = iter(rows)
    with closing(sqlite3.connect("", isolation_level=None)) as database:
        database.executescript(SETTINGS)
        for number, row in enumerate(rows):
            try:
                database.execute("INSERT INTO ids VALUES (?, ?)", (row["id"], number))
            except sqlite3.IntegrityError:
                raise _describe(database, row, number, rows, url) from None
            yield row


def _describe(database: sqlite3.Connection, row: Row, number: int, rows: Iterator[Row], url: str) -> UserError:
    def find(name: str) -> int | None:
        found = database.execute("SELECT number FROM ids WHERE id = ?", (name,)).fetchone()
        return found and int(found[0])

    others = (other["id"] for other in itertools.islice(rows, LOOKED_AT) if find(other["id"]) is not None)
    names = list(dict.fromkeys([row["id"], *others]))[:NAMED]
    found = f"{', '.join(map(repr, names))} twice in {url}, first in its rows {find(row['id'])} and {number}"
    return UserError("every id once", found, "make the ids unique")
