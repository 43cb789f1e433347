"""The latent store: a Zarr v3 group that is written shard by shard and then sealed.

    {url}/zarr.json, {array}/…    the arrays, readable by any Zarr v3 reader
    {url}/index.parquet           which sample is in which row and, once sealed, why a row was rejected
    {url}/commits/00007.json      written after shard 7 is complete
    {url}/manifest.json           written by ``seal``; a store that has it is sealed

The shard is the unit of work, retry and resume: one writer per shard, one object per array and shard, written in
one step. Rows that were never written are NaN, so they cannot be taken for data.
"""

from collections.abc import Iterable
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from storage import locations
from storage.errors import UnsealedStoreError, UserError
from storage.records import write_new_record
from storage.store import notebook
from storage.store.handle import OpenedStore, check_metadata, open_group
from storage.store.index import write_index
from storage.store.layout import CREATED, FLAGS, GROUP, INDEX, Array, ArraySpec, encode_metadata
from storage.store.reading import read_row, read_shard, read_valid
from storage.store.records import CreatedRecord
from storage.store.sealing import seal
from storage.store.verification import Problem, verify
from storage.store.writing import write_shard


class LatentStore(OpenedStore):
    """Latents, and what belongs to them, by row: a sealed store to read, or an unsealed one to write shards into.

    Use ``open`` to read, ``create`` to begin a store, ``resume`` to write further shards; there is no other
    constructor. ``len(store)`` is the number of rows, and ``store["latents"]`` the zarr array (N, H, W, C), read
    only when it is indexed. ``shuffled_batches`` reads batches for training.

    Attributes:
        url: The store's URL; a local path is absolute.
        shard_rows: Rows per shard; the last shard may have fewer.
        names: Names of the arrays, without ``valid`` and ``seed``, which every store has.
        provenance: How the store was made: fingerprints of its inputs, parameters, versions of the software.

    Example:
        >>> store = LatentStore.open("runs/demo/encode/0123456789abcdef")
        >>> store.sample(7)["caption"]
        'a red circle'
        >>> store.shard(0)["latents"].shape
        (512, 64, 64, 8)
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
        """Lay out an empty store and open it for writing. A store that exists already is opened unchanged.

        Safe to call concurrently: both processes write identical objects.

        Args:
            url: Where to put it: a path, or a URL of any fsspec filesystem.
            arrays: Name -> what the array holds per row. ``valid`` and ``seed`` are added.
            rows: The index: one table per shard, in order, as ``storage.store.index.index_tables`` makes them.
            shard_rows: Rows per shard. Keep a shard of an array below 50 MiB on Google Cloud Storage.
            provenance: How the store is made; anything that JSON can hold.

        Returns:
            The store, to write shards into.

        Raises:
            NewerVersionError: A newer version of latentcrf has created a store there.
            EndpointError: The object store or the disk does not answer.

        Example:
            >>> tables = index_tables(rows, shard_rows=512)
            >>> arrays = {"latents": ArraySpec.latent(64, 64, 8)}
            >>> store = LatentStore.create("latents", arrays, tables, shard_rows=512, provenance={})
        """
        url = locations.make_absolute(url)
        if not locations.exists(locations.join(url, CREATED)):
            count, _ = write_index(locations.join(url, INDEX), rows)
            for path, data in encode_metadata(arrays, count, shard_rows, provenance).items():
                locations.write_new(locations.join(url, path), data)
            write_new_record(locations.join(url, CREATED), CreatedRecord(rows=count))
        return cls.resume(url)

    @classmethod
    def resume(cls, url: str) -> Self:
        """Open a store that was created, to write further shards. Each worker does so.

        Raises:
            NewerVersionError: A newer version of latentcrf has created the store.
        """
        url = locations.make_absolute(url)
        return cls(url, open_group(url, "r+"))

    @classmethod
    def open(cls, url: str, *, allow_unsealed: bool = False) -> Self:
        """Open a store to read.

        Everything that is read from a sealed store is checked: an object that was changed since raises
        DamagedStoreError, or zarr's own ValueError if it is read through ``store[name]``.

        Args:
            url: The store's URL or path.
            allow_unsealed: Also open a store that is not finished. Rows that are not written yet are NaN and not
                ``valid``.

        Returns:
            The store, to read from.

        Raises:
            UserError: There is no latent store.
            UnsealedStoreError: The store is not finished.
            NewerVersionError: A newer version of latentcrf has written it.
            DamagedStoreError: Its metadata or its manifest is not what was written.
        """
        url = locations.make_absolute(url)
        if not locations.exists(locations.join(url, GROUP)):
            raise UserError("a latent store", f"none at {url}", "check the URL, or run the stage that writes it")
        check_metadata(url)
        store = cls(url, open_group(url, "r"))
        if not (allow_unsealed or store.sealed):
            raise UnsealedStoreError(
                "a sealed latent store",
                f"{len(store.committed())} of {store.shard_count} shards at {url}",
                "run its stage again to finish it, or open it with allow_unsealed=True",
            )
        return store

    @property
    def valid(self) -> npt.NDArray[np.bool_]:
        """Which rows hold data, bool (N,): False for a row that was rejected or never written.

        Raises:
            DamagedStoreError: The flags are not what was written.
        """
        return read_valid(self)

    def shard(self, shard: int) -> dict[str, Array]:
        """Read all arrays of one shard (n rows), with one request per array.

        Args:
            shard: The shard's number, from 0 to ``shard_count`` - 1.

        Returns:
            Array by name: latents float16 (n, y, x, channel) in the teacher's latent units (its ``scaling_factor``
            is applied, and is in the provenance), vectors float16 (n, feature), ``valid`` bool (n,) and ``seed``
            uint64 (n,). The latents and vectors of a rejected row are NaN.

        Raises:
            DamagedStoreError: A value is not what was written.
        """
        return {name: self.values(name, shard) for name in [*self.names, *FLAGS]}

    def sample(self, row: int) -> dict[str, Any]:
        """Read one row. To read many rows, read whole shards.

        Args:
            row: The row's number, from 0 to ``len(store)`` - 1.

        Returns:
            The row's line of the index (id, caption, …), and its part of each array by name: latents float16
            (y, x, channel), vectors float16 (feature,), ``valid`` bool () and ``seed`` uint64 ().

        Raises:
            IndexError: There is no such row.
            DamagedStoreError: A value is not what was written.
        """
        values = {name: self.value(name, row) for name in [*self.names, *FLAGS]}
        shard, place = divmod(row, self.shard_rows)
        line: dict[str, Any] = self.rows(shard).slice(place, 1).to_pylist()[0]
        return {**line, **values}

    def value(self, name: str, row: int) -> Array:
        """Read one array's part of one row, without the index. Raises IndexError and DamagedStoreError."""
        if not 0 <= row < len(self):
            raise IndexError(f"row {row} of {len(self)} in {self.url}")
        return read_row(self, name, row)

    def values(self, name: str, shard: int) -> Array:
        """Read one array of one shard, with one request. Raises DamagedStoreError."""
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
        """Write a whole shard (n rows), then its commit record, which completes it.

        If another process has committed the shard already, nothing is written.

        Args:
            shard: The shard's number.
            arrays: Name -> values (n, …), one for each of ``names``. They are converted to the array's dtype.
            valid: bool (n,): False for rejected rows.
            seed: uint64 (n,): the seeds that the rows' noise came from.
            rejected: Row number, counted from the store's first row -> why the row was rejected.
            timing: What took time -> seconds; kept in the commit record.
            fingerprint: Covers everything that the values depend on. Another store with a shard of the same
                fingerprint copies this one instead of computing it.

        Raises:
            UserError: An array has another number of rows than the shard.
            EndpointError: The object store or the disk does not answer.
        """
        write_shard(self, shard, {**arrays, "valid": valid, "seed": seed}, rejected, timing, fingerprint)

    def seal(self, products: Iterable[str] = ()) -> None:
        """Finish the store: write the final index and the manifest. Sealing again writes the same bytes.

        Args:
            products: Paths, from the store's URL, of other objects that belong to it, such as a report.

        Raises:
            UserError: A shard is missing.
            DamagedStoreError: A commit record is not what was written.
        """
        seal(self, products)

    def verify(self) -> list[Problem]:
        """Read every object and compare it with its checksum.

        Returns:
            One problem per object that is damaged, missing or foreign, sorted by path; empty if all is well.
        """
        return verify(self.url)

    _repr_html_ = notebook.to_html
    contact_sheet = notebook.contact_sheet
    to_xarray = notebook.to_xarray
