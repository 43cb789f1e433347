"""Rows of an input set: id, caption, uri and sha256, all text.

A row that cannot be used keeps its place: it is refused, and its ``uri`` says why instead of where.
"""

import hashlib
import itertools
from collections.abc import Iterable, Iterator

from storage.errors import UserError

Row = dict[str, str]

CAPTION_COLUMNS = ("caption", "Prompt", "prompt", "text")
MAX_CAPTION = 10_000
"""Characters. Text encoders read 77 to 512 tokens; a tokenizer's time grows with all of it."""
REFUSED = "refused:"
NAMED, LOOKED_AT = 3, 1000


def refused(row: Row, reason: str) -> Row:
    """The row with the reason in place of its content, which the reason then is a part of."""
    content = row.get("sha256", "") + reason
    return {"caption": "", **row, "uri": REFUSED + reason, "sha256": hashlib.sha256(content.encode()).hexdigest()}


def refusal(uri: str) -> str | None:
    """Why a row was refused; None for one that was not."""
    return uri.removeprefix(REFUSED) if uri.startswith(REFUSED) else None


def add_caption(row: Row, caption: str) -> Row:
    """The row with its caption, stripped; refused where that is too long."""
    caption = replace_surrogates(caption.strip())
    row = {**row, "caption": caption[:MAX_CAPTION]}
    if len(caption) <= MAX_CAPTION:
        return row
    return refused(row, f"too long a caption: {len(caption)} characters, at most {MAX_CAPTION}")


def add_caption_file(row: Row, data: bytes) -> Row:
    """The row with the caption from a file of its own; refused where that is no UTF-8."""
    if len(data) > 4 * MAX_CAPTION + 3:  # more than so many characters and a byte order mark have
        return refused(row, f"too long a caption: {len(data)} bytes, at most {MAX_CAPTION} characters")
    try:
        return add_caption(row, data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        return refused(row, f"a caption that is not UTF-8: {error.reason} at byte {error.start}")


def replace_surrogates(text: str) -> str:
    """Without halves of characters, which JSON can spell but no file can hold: each becomes U+FFFD."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def check_unique_ids(rows: Iterable[Row], url: str) -> Iterator[Row]:
    """Pass the rows on; a second row of the same id is an error that names it, and the next few such."""
    rows, seen = iter(rows), dict[str, None]()
    for row in rows:
        if row["id"] in seen:
            others = (other["id"] for other in itertools.islice(rows, LOOKED_AT) if other["id"] in seen)
            names = list(dict.fromkeys([row["id"], *others]))[:NAMED]
            first = list(seen).index(row["id"])
            found = f"{', '.join(map(repr, names))} twice in {url}, first in its rows {first} and {len(seen)}"
            raise UserError("every id once", found, "make the ids unique")
        seen[row["id"]] = None
        yield row


def limit_rows(rows: Iterable[Row], limit: int | None) -> Iterator[Row]:
    """The first so many rows, or all of them."""
    return itertools.islice(rows, limit)
