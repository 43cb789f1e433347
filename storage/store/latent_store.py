"""The latent store: a Zarr v3 group that is written shard by shard and then sealed.

    {url}/zarr.json, {array}/…    the arrays, readable by any Zarr v3 reader
    {url}/index.parquet           id, caption, uri and checksum of each row and, once sealed, why it was rejected
    {url}/commits/00007.json      written after shard 7 is complete
    {url}/manifest.json           written by ``seal``; a store that has it is sealed

The shard is the unit of work, retry and resume. Each array has one object per shard, which is written in one step.
Rows that were never written are NaN, so they cannot be mistaken for data.
"""

from collections.abc import Iterable
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from storage import locations
from storage.errors import UnsealedStoreError, UserError
from storage.records import write_new_record
from storage.store import notebook, reading
from storage.store.handle import OpenedStore, check_metadata, open_group
from storage.store.index import write_index
from storage.store.layout import CREATED, FLAGS, GROUP, INDEX, Array, ArraySpec, encode_metadata
from storage.store.records import CreatedRecord
from storage.store.sealing import seal
from storage.store.verification import Problem, verify
from storage.store.writing import write_shard


class LatentStore(OpenedStore):
    """A Zarr v3 store of latents and other arrays, one row per sample, at any fsspec URL.

    Use ``open`` to read a store, ``create`` to begin one, and ``resume`` to write further shards; do not call the
    constructor. ``len(store)`` is the number of rows N. ``store["latents"]`` is the zarr array (N, y, x, channel),
    which is read when it is indexed. ``shuffled_batches`` reads batches for training.

    Attributes:
        url: The store's URL, or its absolute path.
        shard_rows: Rows per shard; the last shard may have fewer.
        names: Names of the arrays, without ``valid`` and ``seed``, which every store has.
        provenance: How the store was made: fingerprints of its inputs, parameters, versions of software.

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
        """Create an empty store and open it for writing. If the store exists, it is opened unchanged.

        Safe to call concurrently: all processes write identical objects.

        Args:
            url: Path or fsspec URL of the store.
            arrays: Name -> what the array holds per row. ``valid`` and ``seed`` are added.
            rows: The index: one table per shard, in order, as ``storage.store.index.index_tables`` makes them.
            shard_rows: Rows per shard. On Google Cloud Storage, keep one array's shard below 50 MiB.
            provenance: How the store is made, as JSON types.

        Returns:
            The store, open for writing.

        Raises:
            NewerVersionError: A newer version of latentcrf has created a store at ``url``.
            EndpointError: The object store or the disk does not answer.
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
        """Open an existing store to write further shards, as each worker does.

        Args:
            url: Path or fsspec URL of the store.

        Returns:
            The store, open for writing.

        Raises:
            FileNotFoundError: There is no store at ``url``.
            UserError: There is another Zarr group at ``url``.
            NewerVersionError: A newer version of latentcrf has created the store.
        """
        url = locations.make_absolute(url)
        return cls(url, open_group(url, "r+"))

    @classmethod
    def open(cls, url: str, *, allow_unsealed: bool = False) -> Self:
        """Open a store for reading.

        All reads from a sealed store are checked. A damaged object raises DamagedStoreError, or zarr's ValueError if
        it is read through ``store[name]``.

        Args:
            url: Path or fsspec URL of the store.
            allow_unsealed: Whether to open an unfinished store, too. Its unwritten rows are NaN and not ``valid``.
                Default False.

        Returns:
            The store, open for reading.

        Raises:
            UserError: There is no latent store at ``url``.
            UnsealedStoreError: The store is not finished, and ``allow_unsealed`` is False.
            NewerVersionError: A newer version of latentcrf has written the store.
            DamagedStoreError: The store's metadata or manifest is not what was written.
            EndpointError: The object store or the disk does not answer.
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
        """Which rows hold data, bool (N,): False for rows that were rejected or never written. Read at each access.

        Raises:
            DamagedStoreError: The flags are not what was written.
        """
        return reading.read_valid(self)

    def shard(self, shard: int) -> dict[str, Array]:
        """Read all arrays of one shard (n rows), with one request per array.

        Args:
            shard: The shard's number, from 0 to ``shard_count`` - 1.

        Returns:
            Array by name: latents float16 (n, y, x, channel), in the teacher's units (with its ``scaling_factor``
            applied), vectors float16 (n, feature), ``valid`` bool (n,) and ``seed`` uint64 (n,). The latents and
            vectors of a rejected row are NaN.

        Raises:
            DamagedStoreError: A value is not what was written.
        """
        return {name: self.values(name, shard) for name in [*self.names, *FLAGS]}

    def sample(self, row: int) -> dict[str, Any]:
        """Read one row of all arrays and of the index. To read many rows, read whole shards.

        Args:
            row: The row's number, from 0 to ``len(store)`` - 1.

        Returns:
            The row's ``id``, ``caption``, ``uri``, ``checksum`` and ``reason`` (None if it is valid), and its part of
            each array by name: latents float16 (y, x, channel), vectors float16 (feature,), ``valid`` bool () and
            ``seed`` uint64 ().

        Raises:
            IndexError: There is no such row.
            DamagedStoreError: A value is not what was written.
        """
        values = {name: self.value(name, row) for name in [*self.names, *FLAGS]}
        shard, place = divmod(row, self.shard_rows)
        line: dict[str, Any] = self.rows(shard).slice(place, 1).to_pylist()[0]
        return {**line, **values}

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
        note: str | None = None,
    ) -> None:
        """Write a whole shard (n rows), then its commit record, which completes it.

        Does nothing if the shard is already committed.

        Args:
            shard: The shard's number, from 0 to ``shard_count`` - 1.
            arrays: Name -> values (n, …) for each of ``names``, which are converted to the array's dtype.
            valid: bool (n,): False for rejected rows.
            seed: uint64 (n,): the seeds of the rows' noise.
            rejected: Row number in the store -> why the row was rejected.
            timing: Name -> seconds, kept in the commit record.
            fingerprint: Fingerprint of everything that the values depend on. Another store that needs a shard with
                this fingerprint copies it instead of computing it. Default None: never copied.
            note: What was unusual in computing the values, kept in the commit record. Default None: nothing.

        Raises:
            UserError: An array does not have the shard's number of rows.
            EndpointError: The object store or the disk does not answer.
        """
        write_shard(self, shard, {**arrays, "valid": valid, "seed": seed}, rejected, timing, fingerprint, note)

    def seal(self, products: Iterable[str] = ()) -> None:
        """Finish the store: write the final index and the manifest. Sealing again writes the same bytes.

        Args:
            products: Paths, relative to the store's URL, of other objects that belong to it, such as a report.
                Default: none.

        Raises:
            UserError: A shard is not committed.
            DamagedStoreError: A commit record is not what was written.
        """
        seal(self, products)

    def verify(self) -> list[Problem]:
        """Read every object and compare it with its checksum.

        Returns:
            One problem per object that is damaged, missing or foreign, sorted by path; empty if there are none.

        Raises:
            EndpointError: The object store or the disk does not answer.
        """
        return verify(self.url)

    value = reading.read_row
    values = reading.read_shard
    _repr_html_ = notebook.to_html
    contact_sheet = notebook.contact_sheet
    to_xarray = notebook.to_xarray
