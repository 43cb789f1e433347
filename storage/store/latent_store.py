"""The latent store: a Zarr v3 group that is written shard by shard and then sealed.

    {url}/zarr.json, {array}/…    the arrays, readable by any Zarr v3 reader
    {url}/index.parquet           row -> id, caption, uri, sha256 (and, once sealed, reason)
    {url}/commits/00007.json      written after shard 7 is complete
    {url}/manifest.json           written by ``seal``; its presence is what "sealed" means

The shard is the unit of work, retry and resume: one writer per shard, one object per array and
shard, put in place in one step. Never written means NaN, so it cannot pass for data.
"""

from collections.abc import Iterable
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import zarr

from storage import locations
from storage.endpoints import translate_errors
from storage.errors import DamagedStoreError, UnsealedStoreError, UserError
from storage.store import notebook
from storage.store.handle import OpenedStore, check_group
from storage.store.index import write_index
from storage.store.layout import (
    CREATED,
    FLAGS,
    GROUP,
    INDEX,
    Array,
    ArraySpec,
    metadata_documents,
)
from storage.store.reading import read_row, read_shard
from storage.store.records import write_new_record
from storage.store.sealing import seal
from storage.store.verification import Problem, verify
from storage.store.writing import write_shard


class LatentStore(OpenedStore):
    """A sealed store to read from, or an unsealed one to write shards into.

    ``store["latents"]`` is a zarr array (N, H, W, C); ``store.index`` an Arrow table with one row
    a sample; ``store.valid`` bool (N,); ``store.provenance`` how it was made.
    """

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
        url = locations.make_absolute(url)
        if not locations.exists(locations.join(url, CREATED)):
            count, _ = write_index(locations.join(url, INDEX), rows)
            for path, data in metadata_documents(arrays, count, shard_rows, provenance).items():
                locations.write_new(locations.join(url, path), data)
            write_new_record(locations.join(url, CREATED), {"rows": count})
        return cls.resume(url)

    @classmethod
    def resume(cls, url: str) -> Self:
        """A store that was created, for writing further shards: what a worker opens."""
        url = locations.make_absolute(url)
        with translate_errors(url):
            return cls(url, zarr.open_group(url, mode="r+"))

    @classmethod
    def open(cls, url: str, *, allow_unsealed: bool = False) -> Self:
        """Open for reading; UserError where there is no store, UnsealedStoreError where it is not finished.

        What is read from a sealed store is what was written: where an object was changed since, reading
        it raises DamagedStoreError (zarr's own ValueError where it is read through ``store[name]``).
        """
        url = locations.make_absolute(url)
        if not locations.exists(locations.join(url, GROUP)):
            raise UserError("a latent store", f"none at {url}", "check the URL, or run the stage that writes it")
        check_group(url)
        with translate_errors(url):
            store = cls(url, zarr.open_group(url, mode="r"))
        if not (allow_unsealed or store.sealed):
            raise UnsealedStoreError(
                "a sealed latent store",
                f"{len(store.committed())} of {store.shard_count} shards at {url}",
                "run the stage again to finish it, or open it with allow_unsealed=True",
            )
        return store

    @property
    def valid(self) -> npt.NDArray[np.bool_]:
        """(N,): False where the row was rejected (its reason is in the index) or never written."""
        try:
            with translate_errors(self.url):
                valid = np.asarray(self["valid"][:], dtype=np.bool_)
        except ValueError:  # a chunk's checksum is wrong
            raise DamagedStoreError(locations.join(self.url, "valid")) from None
        if self.sealed and valid.sum() != self.manifest["valid"]:  # an object is missing
            raise DamagedStoreError(locations.join(self.url, "valid"))
        return valid

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

        ``fingerprint``: of all that the values follow from; another store copies a shard by it (see ``reuse``).
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
