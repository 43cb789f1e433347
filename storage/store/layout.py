"""What a latent store is made of: the names of its objects, its arrays, and how they lie in Zarr."""

import warnings
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import zarr
from zarr.codecs import Crc32cCodec
from zarr.core.buffer import Buffer
from zarr.storage import MemoryStore

from storage import locations

Array = npt.NDArray[Any]
LAYOUT_VERSION = 3
GROUP, INDEX, CREATED, MANIFEST = "zarr.json", "index.parquet", "commits/created.json", "manifest.json"


def commit_path(shard: int) -> str:
    return f"commits/{shard:05d}.json"


def committed_shards(url: str) -> set[int]:
    """Numbers of the shards of the store at ``url`` that are complete."""
    numbers = (name.removesuffix(".json") for name in locations.list_names(locations.join(url, "commits")))
    return {int(number) for number in numbers if number.isdigit()}


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


FLAGS = {"valid": ArraySpec((), "bool", ()), "seed": ArraySpec((), "uint64", ())}


def create_array(group: zarr.Group, name: str, spec: ArraySpec, count: int, shard_rows: int) -> None:
    """One chunk a sample and one object a shard; flags, which are tiny, one chunk a shard.

    Every chunk carries its checksum, so that any Zarr reader raises on a flipped bit.
    """
    flag = not spec.row_shape
    group.create_array(
        name,
        shape=(count, *spec.row_shape),
        dtype=spec.dtype,
        chunks=(shard_rows,) if flag else (1, *spec.row_shape),
        shards=None if flag else (shard_rows, *spec.row_shape),
        compressors=Crc32cCodec(),  # and no compression: float16 latents are noise to a compressor
        fill_value=np.nan if spec.dtype.startswith("float") else 0,
        dimension_names=("sample", *spec.dimensions),
    )


def metadata_documents(
    arrays: dict[str, ArraySpec], count: int, shard_rows: int, provenance: dict[str, Any]
) -> dict[str, bytes]:
    """Path -> bytes of all of a store's Zarr metadata, consolidated; the same for the same arguments.

    Made in memory, so that each document is put in place whole, in one step.
    """
    documents: dict[str, Buffer] = {}
    attributes = {
        "layout_version": LAYOUT_VERSION,
        "shard_rows": shard_rows,
        "arrays": sorted(arrays),
        "provenance": provenance,
    }
    memory = MemoryStore(documents)
    group = zarr.create_group(memory, attributes=attributes)
    for name, spec in {**arrays, **FLAGS}.items():
        create_array(group, name, spec, count, shard_rows)
    with warnings.catch_warnings():
        # Other readers may ignore consolidated metadata, and lose nothing.
        warnings.filterwarnings("ignore", message="Consolidated metadata")
        zarr.consolidate_metadata(memory)
    return {path: document.to_bytes() for path, document in documents.items()}


def shard_object(array: zarr.Array[Any], shard: int) -> str:
    """The path, from the array's own, of the object that holds a shard."""
    place = (shard, *(0 for _ in array.shape[1:]))
    return str(array.metadata.encode_chunk_key(place))
