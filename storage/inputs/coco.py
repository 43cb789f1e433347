"""COCO captions JSON, streamed: ``{"info": …, "images": […], "annotations": [{"caption": …}, …]}``."""

import codecs
from collections.abc import Iterator
from typing import IO, Any

import fsspec
import ijson

from storage.errors import UserError

PIECE = 1 << 16
MAX_VALUE = 1 << 24  # bytes of one value; an annotation has a few hundred
MAX_DEPTH = 100
Event = tuple[str, Any]


def read_annotations(url: str, piece: int = PIECE) -> Iterator[dict[str, Any]]:
    """Yield the objects in ``annotations``, in order. Raises UserError if the file is not COCO captions JSON.

    ``piece``: bytes to read at a time.
    """
    try:
        with fsspec.open(url, "rb") as file:
            yield from _build_members(_parse(_Pieces(file), piece), "annotations")
    except (ijson.JSONError, ValueError) as error:
        found = f"{url}: {str(error).partition(chr(10))[0].strip()}"  # yajl draws an arrow below
        raise UserError("COCO captions JSON", found, "correct the file or download it again") from None


def _parse(pieces: "_Pieces", piece: int) -> Iterator[Event]:
    """Yield ijson's events for a JSON object. Raises ValueError for any other JSON value.

    Not ``ijson.items``: it holds a path per event, whose length grows with the depth. With ``use_float``, a number of
    too many digits is an error; without it, ijson 3.6 leaves the interpreter in an undefined state.
    """
    for number, (event, value) in enumerate(ijson.basic_parse(pieces, buf_size=piece, use_float=True)):
        if number == 0 and event != "start_map":
            raise ValueError("not a JSON object")
        pieces.pending = 0
        yield event, value


def _build_members(events: Iterator[Event], wanted: str) -> Iterator[dict[str, Any]]:
    """Yield the objects in the list that is the outermost object's value for the key ``wanted``."""
    opened: list[str] = []
    key, builder = "", ijson.ObjectBuilder()
    for event, value in events:
        if event == "map_key" and len(opened) == 1:
            key = value
        if event.startswith("start"):
            opened.append(event)
            if len(opened) > MAX_DEPTH:
                raise ValueError(f"objects and lists nested more than {MAX_DEPTH} deep")
        if len(opened) > 2 and opened[1:3] == ["start_array", "start_map"] and key == wanted:
            builder.event(event, value)
            if event == "end_map" and len(opened) == 3:
                yield builder.value
                builder = ijson.ObjectBuilder()
        if event.startswith("end"):
            opened.pop()


class _Pieces:
    """A file that raises ValueError if MAX_VALUE bytes bring no event. Skips a byte order mark."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file, self.pending = file, 0
        if file.read(len(codecs.BOM_UTF8)) != codecs.BOM_UTF8:
            file.seek(0)

    def read(self, size: int) -> bytes:
        data = self.file.read(size)
        self.pending += len(data)
        if self.pending > MAX_VALUE:
            raise ValueError(f"a value of more than {MAX_VALUE} bytes")
        return data
