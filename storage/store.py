"""The latent store: a Zarr v3 group that is written shard by shard and then sealed.

    {url}/zarr.json, {array}/…    the arrays, readable by any Zarr v3 reader
    {url}/index.parquet           row -> id, caption, uri, sha256 (and, once sealed, reason)
    {url}/commits/00007.json      written after shard 7 is complete
    {url}/manifest.json           written by ``seal``; its presence is what "sealed" means

The shard is the unit of work, retry and resume: one writer per shard, one object per array and
shard, put in place in one step. Never written means NaN, so it cannot pass for data.
"""

import hashlib
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import zarr

from storage import locations
from storage.errors import UnsealedStoreError, UserError
from storage.index import read_index, read_index_shard, write_index

Array = npt.NDArray[Any]
LAYOUT_VERSION = 1


@dataclass(frozen=True)
class ArraySpec:
    """One array of a store: the shape of a row, its dtype, and the names of the row's dimensions."""

    row_shape: tuple[int, ...]
    dtype: str
    dimensions: tuple[str, ...]

    @classmethod
    def latent(cls, height: int, width: int, channels: int) -> Self:
        """float16 latents, channels last: ``permute(0, 3, 1, 2)`` is a channels-last torch view."""
        return cls((height, width, channels), "float16", ("y", "x", "channel"))

    @classmethod
    def vector(cls, size: int) -> Self:
        """float16 vectors: text embeddings, features."""
        return cls((size,), "float16", ("feature",))


class LatentStore:
    """A sealed store to read from, or an unsealed one to write shards into.

    ``store["latents"]`` is a zarr array (N, H, W, C); ``store.index`` an Arrow table with one row
    a sample; ``store.valid`` bool (N,); ``store.provenance`` how it was made.
    """

    def __init__(self, url: str, group: zarr.Group) -> None:
        self.url = url
        self._group = group
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

        ``rows`` yields one index table a shard, in order.
        """
        if locations.exists(locations.join(url, "commits/created.json")):
            return cls.resume(url)
        count = write_index(locations.join(url, "index.parquet"), rows)
        attributes: dict[str, Any] = {
            "layout_version": LAYOUT_VERSION,
            "shard_rows": shard_rows,
            "arrays": sorted(arrays),
            "provenance": provenance,
        }
        group = zarr.open_group(url, mode="a")
        group.attrs.update(attributes)
        flags = {"valid": ArraySpec((), "bool", ()), "seed": ArraySpec((), "uint64", ())}
        for name, spec in {**arrays, **flags}.items():
            if name not in group:
                _create_array(group, name, spec, count, shard_rows)
        locations.write_json(locations.join(url, "commits/created.json"), {"rows": count})
        return cls(url, group)

    @classmethod
    def resume(cls, url: str) -> Self:
        """A store that was created, for writing further shards: what a worker opens."""
        return cls(url, zarr.open_group(url, mode="r+"))

    @classmethod
    def open(cls, url: str, *, allow_unsealed: bool = False) -> Self:
        """Open for reading; UserError where there is no store, UnsealedStoreError where it is not finished."""
        url = locations.absolute(url)
        if not locations.exists(f"{url}/zarr.json"):
            raise UserError("a latent store", f"none at {url}", "check the URL, or run the stage that writes it")
        store = cls(url, zarr.open_group(url, mode="r"))
        if not (allow_unsealed or store.sealed):
            raise UnsealedStoreError(
                "a sealed latent store",
                f"{len(store.committed())} of {store.shard_count} shards at {url}",
                "run the stage again to finish it, or open it with allow_unsealed=True",
            )
        return store

    def __getitem__(self, name: str) -> zarr.Array[Any]:
        array = self._group[name]
        if not isinstance(array, zarr.Array):
            raise KeyError(name)
        return array

    def __len__(self) -> int:
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
        return read_index(locations.join(self.url, "index.parquet"))

    @property
    def valid(self) -> npt.NDArray[np.bool_]:
        """(N,): False where the row was rejected (its reason is in the index) or never written."""
        return np.asarray(self["valid"][:], dtype=np.bool_)

    @property
    def provenance(self) -> dict[str, Any]:
        return dict(self._group.attrs["provenance"])  # type: ignore[arg-type]

    @property
    def sealed(self) -> bool:
        return locations.exists(locations.join(self.url, "manifest.json"))

    @property
    def manifest(self) -> dict[str, Any]:
        """Rows, valid, rejected, and each shard's commit record."""
        return dict(locations.read_json(locations.join(self.url, "manifest.json")))

    def committed(self) -> set[int]:
        """Numbers of the shards that are complete."""
        return {int(name[:5]) for name in locations.list_names(f"{self.url}/commits") if name[:5].isdigit()}

    def extent(self, shard: int) -> slice:
        """The rows of a shard."""
        return slice(shard * self.shard_rows, min((shard + 1) * self.shard_rows, len(self)))

    def rows(self, shard: int) -> pa.Table:
        """The shard's part of the index."""
        return read_index_shard(locations.join(self.url, "index.parquet"), shard)

    def shard(self, shard: int) -> dict[str, Array]:
        """All arrays of one shard, ``valid`` and ``seed`` included: one request an array."""
        return {name: np.asarray(self[name][self.extent(shard)]) for name in [*self.names, "valid", "seed"]}

    def write_shard(
        self,
        shard: int,
        arrays: dict[str, Array],
        *,
        valid: Array,
        seed: Array,
        rejected: dict[int, str],
        timing: dict[str, float],
    ) -> None:
        """Write a whole shard, then its commit record. ``rejected``: row -> reason."""
        extent = self.extent(shard)
        expected = extent.stop - extent.start
        checksums = {}
        for name, values in {**arrays, "valid": valid, "seed": seed}.items():
            if len(values) != expected:
                raise ValueError(f"shard {shard} of {self.url} has {expected} rows; {name} came with {len(values)}")
            stored = np.ascontiguousarray(values, dtype=self[name].dtype)
            self[name][extent] = stored
            checksums[name] = hashlib.sha256(stored.tobytes()).hexdigest()
        record = {
            "shard": shard,
            "rows": [extent.start, extent.stop],
            "valid": int(valid.sum()),
            "rejected": {str(row): reason for row, reason in rejected.items()},
            "sha256": checksums,
            "timing": timing,
        }
        locations.write_json(f"{self.url}/commits/{shard:05d}.json", record)

    def seal(self) -> None:
        """Check that every shard is committed, then write the final index and the manifest."""
        missing = sorted(set(range(self.shard_count)) - self.committed())
        if missing:
            raise UserError(
                f"{self.shard_count} committed shards", f"{len(missing)} missing, the first {missing[0]}", "run again"
            )
        commits = [locations.read_json(f"{self.url}/commits/{shard:05d}.json") for shard in range(self.shard_count)]
        rejected = {int(row): reason for commit in commits for row, reason in commit["rejected"].items()}
        shards = (self.rows(shard) for shard in range(self.shard_count))
        write_index(locations.join(self.url, "index.parquet"), shards, rejected=rejected)
        with warnings.catch_warnings():
            # Other readers may ignore consolidated metadata, and lose nothing.
            warnings.filterwarnings("ignore", message="Consolidated metadata")
            # index.parquet, commits/ and the manifest lie beside the arrays on purpose.
            warnings.filterwarnings("ignore", message="Object at .* is not recognized")
            zarr.consolidate_metadata(self._group.store)
        manifest = {
            "rows": len(self),
            "valid": sum(commit["valid"] for commit in commits),
            "rejected": len(rejected),
            "shards": [{key: commit[key] for key in ("shard", "rows", "sha256")} for commit in commits],
        }
        locations.write_json(f"{self.url}/manifest.json", manifest)

    def verify(self) -> list[str]:
        """Re-read everything against the checksums; one line for each array and shard that differs."""
        problems = []
        for commit in self.manifest["shards"]:
            for name, values in self.shard(commit["shard"]).items():
                if hashlib.sha256(values.tobytes()).hexdigest() != commit["sha256"][name]:
                    problems.append(f"{name}, shard {commit['shard']} (rows {commit['rows']}): not what was written")
        return problems


def _create_array(group: zarr.Group, name: str, spec: ArraySpec, count: int, shard_rows: int) -> None:
    """One chunk a sample and one object a shard; flags, which are tiny, one chunk a shard."""
    flag = not spec.row_shape
    group.create_array(
        name,
        shape=(count, *spec.row_shape),
        dtype=spec.dtype,
        chunks=(shard_rows,) if flag else (1, *spec.row_shape),
        shards=None if flag else (shard_rows, *spec.row_shape),
        compressors=None,  # float16 latents are noise to a compressor
        fill_value=np.nan if spec.dtype.startswith("float") else 0,
        dimension_names=("sample", *spec.dimensions),
    )
