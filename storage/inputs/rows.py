"""Rows of an input set: ``id``, ``caption``, ``uri``, ``checksum`` and ``reason``, all text.

``checksum`` identifies the content and begins with its algorithm ("sha256:…", "md5:…", "crc32c:…", "etag:…").
``reason`` is empty unless the row was rejected: a rejected row keeps its place in the set, but cannot be used.
"""

Row = dict[str, str]

CAPTION_COLUMNS = ("caption", "Prompt", "prompt", "text")
MAX_CAPTION = 10_000
"""Longest caption in characters. Text encoders read 77 to 512 tokens, but tokenizing takes time per character."""


class RejectedImageError(Exception):
    """The image cannot be used. The message becomes the row's ``reason``."""


def new_row(name: str, uri: str) -> Row:
    """Make a row with an id and a URI; caption, checksum and reason are empty."""
    return {"id": replace_surrogates(name), "caption": "", "uri": uri, "checksum": "", "reason": ""}


def reject(row: Row, reason: str) -> Row:
    """Return the row as rejected, with the reason why it cannot be used."""
    return {**row, "reason": reason}


def add_caption(row: Row, caption: str) -> Row:
    """Return the row with its caption, stripped of whitespace. Rejects the row if the caption is too long."""
    caption = replace_surrogates(caption.strip())
    row = {**row, "caption": caption[:MAX_CAPTION]}
    if len(caption) <= MAX_CAPTION:
        return row
    return reject(row, f"too long a caption: {len(caption)} characters, at most {MAX_CAPTION}")


def add_caption_file(row: Row, data: bytes) -> Row:
    """Return the row with the caption from a file's bytes. Rejects the row if they are too many or not UTF-8."""
    if len(data) > 4 * MAX_CAPTION + 3:  # at most 4 bytes per character, and 3 of a byte order mark
        return reject(row, f"too long a caption: {len(data)} bytes, at most {MAX_CAPTION} characters")
    try:
        return add_caption(row, data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        return reject(row, f"a caption that is not UTF-8: {error.reason} at byte {error.start}")


def replace_surrogates(text: str) -> str:
    """Replace each unpaired surrogate, which JSON can spell but UTF-8 cannot encode, with U+FFFD."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
