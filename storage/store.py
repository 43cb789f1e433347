"""The latent store: a Zarr v3 group that is written shard by shard and then sealed.

    {url}/zarr.json, {array}/…    the arrays, readable by any Zarr v3 reader
    {url}/index.parquet           row -> id, caption, uri, sha256 (and, once sealed, reason)
    {url}/commits/00007.json      written after shard 7 is complete
    {url}/manifest.json           written by ``seal``; its presence is what "sealed" means

The shard is the unit of work, retry and resume: one writer per shard, one object per array and
shard, put in place in one step. Never written means NaN, so it cannot pass for data.
"""

from collections.abc import Iterable
from functools import cached_property
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import zarr

from storage import locations, notebook
from storage.endpoints import answering
from storage.errors import DamagedStoreError, UnsealedStoreError, UserError
from storage.index import parse_index, read_index_shard, table_checksum, write_index
from storage.layout import (
    CREATED,
    FLAGS,
    GROUP,
    INDEX,
    MANIFEST,
    Array,
    ArraySpec,
    committed_shards,
    metadata_documents,
    shard_object,
)
from storage.reading import read_row, read_shard
from storage.records import read_record, sha256, write_new_record
from storage.sealing import seal
from storage.verification import Problem, verify
from storage.writing import write_shard


class LatentStore:
    """A sealed store to read from, or an unsealed one to write shards into.

    ``store["latents"]`` is a zarr array (N, H, W, C); ``store.index`` an Arrow table with one row
    a sample; ``store.valid`` bool (N,); ``store.provenance`` how it was made.
    """

    def __init__(self, url: str, group: zarr.Group) -> None:
        self.url = url
        self._group = group
        self._arrays: dict[str, zarr.Array[Any]] = {}  # zarr makes one anew each time, from its metadata
        self.shard_rows: int = group.attrs["shard_rows"]  # type: ignore[assignment]

    @classmethod
    def create(
        cls,
        url: str,
        arrays: dict[str, ArraySpec],
        rows: Iterable[pa.Table],
        *,
        shard_rows: int,
        provenance: dict[str, Any],
    ) -> Self:
        """Lay out an empty store; on one that exists already, change nothing and open it.

        ``rows`` yields one index table a shard, in order. Of two processes that lay it out at the same
        time, each object is the one's or the other's, and they are the same.
        """
        url = locations.absolute(url)
        if not locations.exists(locations.join(url, CREATED)):
            count, _ = write_index(locations.join(url, INDEX), rows)
            for path, data in metadata_documents(arrays, count, shard_rows, provenance).items():
                locations.write_new(locations.join(url, path), data)
            write_new_record(locations.join(url, CREATED), {"rows": count})
        return cls.resume(url)

    @classmethod
    def resume(cls, url: str) -> Self:
        """A store that was created, for writing further shards: what a worker opens."""
        url = locations.absolute(url)
        with answering(url):
            return cls(url, zarr.open_group(url, mode="r+"))

    @classmethod
    def open(cls, url: str, *, allow_unsealed: bool = False) -> Self:
        """Open for reading; UserError where there is no store, UnsealedStoreError where it is not finished.

        What is read from a sealed store is what was written: where an object was changed since, reading
        it raises DamagedStoreError (zarr's own ValueError where it is read through ``store[name]``).
        """
        url = locations.absolute(url)
        if not locations.exists(locations.join(url, GROUP)):
            raise UserError("a latent store", f"none at {url}", "check the URL, or run the stage that writes it")
        if locations.exists(locations.join(url, MANIFEST)):
            _read_sealed(url, GROUP, read_record(locations.join(url, MANIFEST)))
        with answering(url):
            store = cls(url, zarr.open_group(url, mode="r"))
        if not (allow_unsealed or store.sealed):
            raise UnsealedStoreError(
                "a sealed latent store",
                f"{len(store.committed())} of {store.shard_count} shards at {url}",
                "run the stage again to finish it, or open it with allow_unsealed=True",
            )
        return store

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
    def shard_count(self) -> int:
        return -(-len(self) // self.shard_rows)

    @property
    def index(self) -> pa.Table:
        """id, caption, uri, sha256 of each row; in a sealed store also why a row was rejected."""
        if self.sealed:
            return parse_index(_read_sealed(self.url, INDEX, self.manifest))
        return parse_index(locations.read_bytes(locations.join(self.url, INDEX)))

    @property
    def valid(self) -> npt.NDArray[np.bool_]:
        """(N,): False where the row was rejected (its reason is in the index) or never written."""
        try:
            with answering(self.url):
                valid = np.asarray(self["valid"][:], dtype=np.bool_)
        except ValueError:  # a chunk's checksum is wrong
            raise DamagedStoreError(locations.join(self.url, "valid")) from None
        if self.sealed and valid.sum() != self.manifest["valid"]:  # an object is missing
            raise DamagedStoreError(locations.join(self.url, "valid"))
        return valid

    @property
    def provenance(self) -> dict[str, Any]:
        return dict(self._group.attrs["provenance"])  # type: ignore[arg-type]

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

    def rows(self, shard: int) -> pa.Table:
        """The shard's part of the index: one line a row, strings ``id``, ``caption``, ``uri``, ``sha256``.

        In a sealed store also ``reason``, null unless the row was rejected. Raises DamagedStoreError
        where a sealed index is not what was written.
        """
        url = locations.join(self.url, INDEX)
        sealed = self.sealed  # before it is read: another process may seal in between
        with answering(url):
            table = read_index_shard(url, shard)
        if sealed and table_checksum(table) != self.manifest["shards"][shard]["index"]:
            raise DamagedStoreError(url)
        return table

    def shard(self, shard: int) -> dict[str, Array]:
        """All arrays of one shard (n rows) by name: latents float16 (n, y, x, channel) in the teacher's latent
        units (scaled; its ``scaling_factor`` is in the provenance), vectors (n, feature), ``valid`` bool (n,)
        and ``seed`` uint64 (n,). A rejected row is NaN. One request an array. Raises DamagedStoreError.
        """
        return {name: self.values(name, shard) for name in [*self.names, *FLAGS]}

    def sample(self, row: int) -> dict[str, Any]:
        """One row: its line of the index, and its part of each array: latents float16 (y, x, channel), vectors
        (feature,), ``valid`` and ``seed`` (). Raises IndexError beyond the last row, DamagedStoreError.
        For many rows read whole shards.
        """
        values = {name: self.value(name, row) for name in [*self.names, *FLAGS]}
        shard, place = divmod(row, self.shard_rows)
        line: dict[str, Any] = self.rows(shard).slice(place, 1).to_pylist()[0]
        return {**line, **values}

    def value(self, name: str, row: int) -> Array:
        """One array's part of one row, without the index. Raises IndexError beyond the last row, DamagedStoreError."""
        if not 0 <= row < len(self):
            raise IndexError(f"row {row} of {len(self)} in {self.url}")
        return read_row(self, name, row)

    def values(self, name: str, shard: int) -> Array:
        """One array of one shard. Raises DamagedStoreError."""
        return read_shard(self, name, shard)

    def write_shard(
        self,
        shard: int,
        arrays: dict[str, Array],
        *,
        valid: Array,
        seed: Array,
        rejected: dict[int, str],
        timing: dict[str, float],
        fingerprint: str | None = None,
    ) -> None:
        """Write a whole shard, then its commit record. ``rejected``: row -> reason.

        ``fingerprint``: of all that the values follow from; another store copies a shard by it (``storage.reuse``).
        Where another process has committed the shard, nothing is written.
        """
        write_shard(self, shard, {**arrays, "valid": valid, "seed": seed}, rejected, timing, fingerprint)

    def seal(self, products: Iterable[str] = ()) -> None:
        """Finish the store; raises UserError where a shard is not committed.

        ``products``: names of the other objects that the stage has put beside the arrays.
        """
        seal(self, products)

    def verify(self) -> list[Problem]:
        """Re-read every object against its checksum: what is damaged, missing or foreign."""
        return verify(self.url)

    _repr_html_ = notebook.to_html
    contact_sheet = notebook.contact_sheet
    to_xarray = notebook.to_xarray


def _read_sealed(url: str, path: str, manifest: dict[str, Any]) -> bytes:
    """An object of a sealed store; raises DamagedStoreError where it is not what was sealed."""
    data = locations.read_bytes(locations.join(url, path))
    if sha256(data) != manifest["objects"][path]:
        raise DamagedStoreError(locations.join(url, path))
    return data
