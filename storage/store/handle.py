"""An opened store: its metadata, the rows of each shard, and where its objects are.

Writing, reading, sealing and showing a store are functions that take an ``OpenedStore``. ``LatentStore`` extends it
with these as methods.
"""

from functools import cached_property
from typing import Any, Literal

import pyarrow as pa
import zarr

from storage import locations
from storage.endpoints import translate_errors
from storage.errors import DamagedStoreError, NewerVersionError, UserError
from storage.records import compute_sha256, read_record
from storage.seals import MANIFEST, is_sealed
from storage.store.index import hash_table, parse_index, read_index_shard
from storage.store.layout import GROUP, INDEX, LAYOUT_VERSION, list_committed_shards, object_path
from storage.store.records import StoreManifest


class OpenedStore:
    """A store's arrays by name (``store["latents"]``, a zarr array), its metadata and its records."""

    def __init__(self, url: str, group: zarr.Group) -> None:
        self.url = url
        self._group = group
        self._arrays: dict[str, zarr.Array[Any]] = {}  # zarr would parse an array's metadata at each access
        self.shard_rows: int = group.attrs["shard_rows"]  # type: ignore[assignment]

    def __getitem__(self, name: str) -> zarr.Array[Any]:
        if name not in self._arrays:
            array = self._group[name]
            if not isinstance(array, zarr.Array):
                raise KeyError(name)
            self._arrays[name] = array
        return self._arrays[name]

    def __len__(self) -> int:
        """Number of rows, rejected ones included."""
        return self["valid"].shape[0]

    @property
    def names(self) -> list[str]:
        """Names of the arrays, without ``valid`` and ``seed``."""
        return list(self._group.attrs["arrays"])  # type: ignore[arg-type]

    @property
    def provenance(self) -> dict[str, Any]:
        """How the store was made: fingerprints of its inputs, parameters, versions of the software."""
        return dict(self._group.attrs["provenance"])  # type: ignore[arg-type]

    @property
    def shard_count(self) -> int:
        """Number of shards, written or not."""
        return -(-len(self) // self.shard_rows)

    @property
    def sealed(self) -> bool:
        """Whether the store is finished."""
        return is_sealed(self.url)

    @cached_property
    def manifest(self) -> StoreManifest:
        """The manifest of a sealed store: number of rows, and the checksums of all of its objects."""
        return read_record(locations.join(self.url, MANIFEST), StoreManifest)

    def committed(self) -> set[int]:
        """Numbers of the shards that are complete."""
        return list_committed_shards(self.url)

    def extent(self, shard: int) -> slice:
        """The rows of a shard, as a slice of row numbers."""
        return slice(shard * self.shard_rows, min((shard + 1) * self.shard_rows, len(self)))

    def object_url(self, name: str, shard: int) -> str:
        """URL of the object that holds one shard of one array."""
        return locations.join(self.url, name, object_path(self[name], shard))

    @property
    def index(self) -> pa.Table:
        """The whole index, one line per row, with the columns that ``rows`` has. Millions of rows take gigabytes."""
        if self.sealed:
            return parse_index(read_sealed(self.url, INDEX, self.manifest))
        return parse_index(locations.read_bytes(locations.join(self.url, INDEX)))

    def rows(self, shard: int) -> pa.Table:
        """The index of one shard: one line per row, with the row's id, caption and source.

        In a sealed store the column ``reason`` says why a row was rejected; it is null for valid rows.

        Raises:
            DamagedStoreError: The index of the sealed store is not what was written.
        """
        url = locations.join(self.url, INDEX)
        sealed = self.sealed  # asked before reading: another process may seal in between
        table = read_index_shard(url, shard)
        if sealed and hash_table(table) != self.manifest.shards[shard].index:
            raise DamagedStoreError(url)
        return table


def open_group(url: str, mode: Literal["r", "r+"]) -> zarr.Group:
    """Open a store's Zarr group.

    Raises NewerVersionError if its layout is newer than this version knows, UserError if it is no latent store's.
    """
    with translate_errors(url):
        group = zarr.open_group(url, mode=mode)
    check_layout_version(url, group.attrs.get("layout_version"))
    return group


def check_metadata(url: str) -> None:
    """Raises DamagedStoreError if the Zarr metadata of a sealed store is not what was written."""
    if is_sealed(url):
        read_sealed(url, GROUP, read_record(locations.join(url, MANIFEST), StoreManifest))


def check_layout_version(url: str, version: object) -> None:
    """Raises NewerVersionError for a newer layout, UserError for none."""
    if not isinstance(version, int):
        raise UserError("a latent store", f"another Zarr group at {url}", "check the URL")
    if version > LAYOUT_VERSION:
        raise NewerVersionError(f"a latent store of layout {LAYOUT_VERSION} or older", f"{version} at {url}")


def read_sealed(url: str, path: str, manifest: StoreManifest) -> bytes:
    """Read an object of a sealed store. Raises DamagedStoreError if it is not what was written."""
    data = locations.read_bytes(locations.join(url, path))
    if compute_sha256(data) != manifest.objects[path]:
        raise DamagedStoreError(locations.join(url, path))
    return data
