"""An opened store: its arrays, metadata and records, and the URLs of its objects.

The functions that write, read, seal and show a store take an ``OpenedStore``. ``LatentStore`` extends it with these
functions as methods.
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
from storage.store.layout import GROUP, INDEX, LAYOUT_VERSION, list_committed_shards, make_object_path
from storage.store.records import StoreManifest


class OpenedStore:
    """A store's arrays by name, its metadata and its records: the part of ``LatentStore`` that its functions need."""

    def __init__(self, url: str, group: zarr.Group) -> None:
        self.url = url
        self._group = group
        self._arrays: dict[str, zarr.Array[Any]] = {}  # zarr parses an array's metadata at each access
        self.shard_rows: int = group.attrs["shard_rows"]  # type: ignore[assignment]

    def __getitem__(self, name: str) -> zarr.Array[Any]:
        """Return an array by name, e.g. ``store["latents"]``. Values are read when it is indexed. Raises KeyError."""
        if name not in self._arrays:
            array = self._group[name]
            if not isinstance(array, zarr.Array):
                raise KeyError(name)
            self._arrays[name] = array
        return self._arrays[name]

    def __len__(self) -> int:
        """Return the number of rows, including rejected ones."""
        return self["valid"].shape[0]

    @property
    def names(self) -> list[str]:
        """Names of the arrays, without ``valid`` and ``seed``."""
        return list(self._group.attrs["arrays"])  # type: ignore[arg-type]

    @property
    def provenance(self) -> dict[str, Any]:
        """How the store was made: fingerprints of its inputs, parameters, versions of software."""
        return dict(self._group.attrs["provenance"])  # type: ignore[arg-type]

    @property
    def shard_count(self) -> int:
        """Number of shards, committed or not."""
        return -(-len(self) // self.shard_rows)

    @property
    def sealed(self) -> bool:
        """Whether the store is finished: ``seal`` has written its manifest."""
        return is_sealed(self.url)

    @cached_property
    def manifest(self) -> StoreManifest:
        """The manifest of a sealed store: numbers of rows, valid rows and rejected rows, and checksums of all objects.

        Raises:
            FileNotFoundError: The store is not sealed.
            DamagedStoreError: The manifest is not what was written.
        """
        return read_record(locations.join(self.url, MANIFEST), StoreManifest)

    def committed(self) -> set[int]:
        """List the numbers of the committed shards.

        Returns:
            A set of shard numbers, counted from 0.
        """
        return list_committed_shards(self.url)

    def extent(self, shard: int) -> slice:
        """Compute which rows a shard holds.

        Args:
            shard: The shard's number, from 0 to ``shard_count`` - 1.

        Returns:
            A slice of row numbers.
        """
        return slice(shard * self.shard_rows, min((shard + 1) * self.shard_rows, len(self)))

    def object_url(self, name: str, shard: int) -> str:
        """Return the URL of the object that holds one shard of one array.

        Args:
            name: The array's name.
            shard: The shard's number.
        """
        return locations.join(self.url, name, make_object_path(self[name], shard))

    @property
    def index(self) -> pa.Table:
        """The whole index, one line per row, with the columns of ``rows``. Millions of rows take gigabytes.

        Raises:
            DamagedStoreError: The index of the sealed store is not what was written.
        """
        if self.sealed:
            return parse_index(read_sealed(self.url, INDEX, self.manifest))
        return parse_index(locations.read_bytes(locations.join(self.url, INDEX)))

    def rows(self, shard: int) -> pa.Table:
        """Read the index of one shard.

        Args:
            shard: The shard's number, from 0 to ``shard_count`` - 1.

        Returns:
            A table with one line per row and the columns ``id``, ``caption``, ``uri``, ``checksum`` and ``reason``.
            ``uri`` says where the row's content came from, ``checksum`` identifies the content ("sha256:…"), and
            ``reason`` says why the row was rejected; it is null for valid rows. ``reason`` is final once the
            store is sealed.

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

    Raises NewerVersionError if its layout is newer than this version can read, UserError if it is not a latent store.
    """
    with translate_errors(url):
        group = zarr.open_group(url, mode=mode)
    check_layout_version(url, group.attrs.get("layout_version"))
    return group


def check_metadata(url: str) -> None:
    """Raise DamagedStoreError if the store is sealed and its Zarr metadata is not what was written."""
    if is_sealed(url):
        read_sealed(url, GROUP, read_record(locations.join(url, MANIFEST), StoreManifest))


def check_layout_version(url: str, version: object) -> None:
    """Raise NewerVersionError if the layout version is newer than LAYOUT_VERSION, UserError if there is none."""
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
