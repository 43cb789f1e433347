"""COCO captions JSON, read a piece at a time: ``{"info": …, "images": […], "annotations": [{"caption": …}, …]}``."""

import json
from collections.abc import Iterator
from typing import IO, Any

import fsspec

from storage.errors import UserError

PIECE = 1 << 20
MAX_VALUE = 1 << 24  # characters of one value: an annotation has a few hundred
SPACE = " \t\r\n"


def read_annotations(url: str, piece: int = PIECE) -> Iterator[dict[str, Any]]:
    """The members of ``annotations``, in order; raises UserError where the file is not of this form.

    ``piece``: how many characters to read at a time.
    """
    try:
        with fsspec.open(url, "rt", encoding="utf-8-sig") as file:
            yield from _members(_Reader(file, piece), "annotations")
    except (ValueError, RecursionError) as error:  # no JSON, no UTF-8, a number of too many digits; too deep
        raise UserError("COCO captions JSON", f"{url}: {error}", "mend or download the file again") from None


def _members(reader: "_Reader", wanted: str) -> Iterator[dict[str, Any]]:
    """Of the wanted list, which is a value of the outermost object; the other values are passed over."""
    for _ in reader.parts("{", "}"):
        key = reader.value()
        reader.expect(":")
        if reader.peek() != "[":
            reader.value()
            continue
        for _ in reader.parts("[", "]"):
            member = reader.value()
            if key == wanted and isinstance(member, dict):
                yield member


class _Reader:
    """A JSON text of which one value at a time is in memory."""

    def __init__(self, file: IO[str], piece: int) -> None:
        self.file, self.piece = file, piece
        self.text, self.place, self.ended = "", 0, False
        self.decode = json.JSONDecoder().raw_decode

    def more(self) -> bool:
        """Read a piece; twice as much as is held, so that a long value is not tried too often."""
        piece = self.file.read(max(self.piece, 2 * (len(self.text) - self.place)))
        self.text, self.place, self.ended = self.text[self.place :] + piece, 0, not piece
        return bool(piece)

    def peek(self) -> str:
        """The next character that is not a space; "" at the end."""
        while True:
            while self.place < len(self.text):
                if self.text[self.place] not in SPACE:
                    return self.text[self.place]
                self.place += 1
            if not self.more():
                return ""

    def expect(self, character: str) -> None:
        if self.peek() != character:
            raise json.JSONDecodeError(f"expected {character!r}", self.text, self.place)
        self.place += 1

    def parts(self, opening: str, closing: str) -> Iterator[None]:
        """Stops before each part of an object or a list; whoever asks reads the part."""
        self.expect(opening)
        while self.peek() != closing:
            yield
            if self.peek() != closing:
                self.expect(",")
        self.expect(closing)

    def value(self) -> Any:
        self.peek()
        while True:
            try:
                value, end = self.decode(self.text, self.place)
            except json.JSONDecodeError:
                if len(self.text) - self.place > MAX_VALUE or not self.more():
                    raise
                continue
            if end < len(self.text) or self.ended:  # else a number may go on in the next piece
                self.place = end
                return value
            self.more()
