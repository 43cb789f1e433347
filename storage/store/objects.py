"""Objects that are opened to read parts of them: a local file where it lies, any other fetched whole.

A file is not mapped into memory: its first touch would cost a page fault for every few rows, as much as copying
them, and a file that is cut off meanwhile would end the process.
"""

import os
import weakref

from storage import locations
from storage.endpoints import translate_errors
from storage.store.layout import Array

Place = Array | bytearray
"""Where bytes go: of an array, uint8."""


class LocalFile:
    """Closed with the last reference to it."""

    def __init__(self, path: str) -> None:
        self._file = os.open(path, os.O_RDONLY)
        weakref.finalize(self, os.close, self._file)
        self.size = os.fstat(self._file).st_size

    def read_into(self, start: int, *places: Place) -> int:
        """Fill the places, one after the other, with the bytes from ``start`` on. -> how many there were."""
        return os.preadv(self._file, places, start)  # type: ignore[arg-type]  # numpy's arrays are buffers

    def read_ahead(self) -> None:
        """Let the system begin to read all of it, and do not wait."""
        if hasattr(os, "posix_fadvise"):  # not on every system
            os.posix_fadvise(self._file, 0, 0, os.POSIX_FADV_WILLNEED)


class FetchedObject:
    def __init__(self, data: bytes) -> None:
        self._bytes, self.size = memoryview(data), len(data)

    def read_into(self, start: int, *places: Place) -> int:
        end = start
        for place in places:
            part = self._bytes[end : end + len(place)]
            place[: len(part)] = part
            end += len(part)
        return end - start

    def read_ahead(self) -> None:
        """It is here."""


Object = LocalFile | FetchedObject


def open_object(url: str) -> Object:
    """Raises FileNotFoundError, EndpointError."""
    path = locations.local_path(url)
    with translate_errors(url):
        return FetchedObject(locations.read_bytes(url)) if path is None else LocalFile(path)
