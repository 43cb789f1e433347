"""An opened store: where its objects lie, which rows a shard has, and what its metadata says."""

from functools import cached_property
from typing import Any

import pyarrow as pa
import zarr

from storage import locations
from storage.endpoints import translate_errors
from storage.errors import DamagedStoreError
from storage.store.index import parse_index, read_index_shard, table_checksum
from storage.store.layout import GROUP, INDEX, MANIFEST, committed_shards, shard_object
from storage.store.records import read_record, sha256


class OpenedStore:
    """What writing, reading, sealing and showing a store stand on; ``LatentStore`` adds them as methods.

    ``store["latents"]`` is a zarr array (N, H, W, C).
    """

    def __init__(self, url: str, group: zarr.Group) -> None:
        self.url = url
        self._group = group
        self._arrays: dict[str, zarr.Array[Any]] = {}  # zarr makes one anew each time, from its metadata
        self.shard_rows: int = group.attrs["shard_rows"]  # type: ignore[assignment]

    def __getitem__(self, name: str) -> zarr.Array[Any]:
        if name not in self._arrays:
            array = self._group[name]
            if not isinstance(array, zarr.Array):
                raise KeyError(name)
            self._arrays[name] = array
        return self._arrays[name]

    def __len__(self) -> int:
        """Rows, the rejected ones included."""
        return self["valid"].shape[0]

    @property
    def names(self) -> list[str]:
        """The arrays' names, without ``valid`` and ``seed``."""
        return list(self._group.attrs["arrays"])  # type: ignore[arg-type]

    @property
    def provenance(self) -> dict[str, Any]:
        """How the store was made: fingerprints of its inputs, parameters, software versions."""
        return dict(self._group.attrs["provenance"])  # type: ignore[arg-type]

    @property
    def shard_count(self) -> int:
        return -(-len(self) // self.shard_rows)

    @property
    def sealed(self) -> bool:
        return locations.exists(locations.join(self.url, MANIFEST))

    @cached_property
    def manifest(self) -> dict[str, Any]:
        """Of a sealed store: rows, valid, rejected, the checksums of each shard and of all other objects."""
        return read_record(locations.join(self.url, MANIFEST))

    def committed(self) -> set[int]:
        """Numbers of the shards that are complete."""
        return committed_shards(self.url)

    def extent(self, shard: int) -> slice:
        """The rows of a shard: a slice of row numbers."""
        return slice(shard * self.shard_rows, min((shard + 1) * self.shard_rows, len(self)))

    def object_url(self, name: str, shard: int) -> str:
        """Where one array of one shard lies."""
        return locations.join(self.url, name, shard_object(self[name], shard))

    @property
    def index(self) -> pa.Table:
        """id, caption, uri, sha256 of each row; in a sealed store also why a row was rejected."""
        if self.sealed:
            return parse_index(read_sealed(self.url, INDEX, self.manifest))
        return parse_index(locations.read_bytes(locations.join(self.url, INDEX)))

    def rows(self, shard: int) -> pa.Table:
        """The shard's part of the index: one line a row, strings ``id``, ``caption``, ``uri``, ``sha256``.

        In a sealed store also ``reason``, null unless the row was rejected. Raises DamagedStoreError
        where a sealed index is not what was written.
        """
        url = locations.join(self.url, INDEX)
        sealed = self.sealed  # before it is read: another process may seal in between
        with translate_errors(url):
            table = read_index_shard(url, shard)
        if sealed and table_checksum(table) != self.manifest["shards"][shard]["index"]:
            raise DamagedStoreError(url)
        return table


def check_group(url: str) -> None:
    """Raises DamagedStoreError where a sealed store's metadata is not what was sealed."""
    if locations.exists(locations.join(url, MANIFEST)):
        read_sealed(url, GROUP, read_record(locations.join(url, MANIFEST)))


def read_sealed(url: str, path: str, manifest: dict[str, Any]) -> bytes:
    """An object of a sealed store; raises DamagedStoreError where it is not what was sealed."""
    data = locations.read_bytes(locations.join(url, path))
    if sha256(data) != manifest["objects"][path]:
        raise DamagedStoreError(locations.join(url, path))
    return data
