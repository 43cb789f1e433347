"""The layout of a latent store: the names of its objects, its arrays, and their Zarr metadata."""

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
GROUP, INDEX, CREATED = "zarr.json", "index.parquet", "commits/created.json"


def make_commit_path(shard: int) -> str:
    """Return the path of a shard's commit record, relative to the store's URL."""
    return f"commits/{shard:05d}.json"


def list_committed_shards(url: str) -> set[int]:
    """List the numbers of the committed shards of the store at ``url``."""
    numbers = (name.removesuffix(".json") for name in locations.list_names(locations.join(url, "commits")))
    return {int(number) for number in numbers if number.isdigit()}


@dataclass(frozen=True)
class ArraySpec:
    """What an array of a store holds per row. ``latent`` and ``vector`` make the usual ones.

    Args:
        row_shape: Shape of one row, without the row dimension; () for one value per row.
        dtype: NumPy's name of the dtype, e.g. "float16".
        dimensions: One name per dimension of ``row_shape``.

    Example:
        >>> ArraySpec.latent(64, 64, 8)
        ArraySpec(row_shape=(64, 64, 8), dtype='float16', dimensions=('y', 'x', 'channel'))
    """

    row_shape: tuple[int, ...]
    dtype: str
    dimensions: tuple[str, ...]

    @classmethod
    def latent(cls, height: int, width: int, channels: int) -> Self:
        """Make the spec of float16 latents, channels last.

        In PyTorch, ``permute(0, 3, 1, 2)`` of a batch is then a view in channels-last memory format.

        Args:
            height: Height in latent pixels.
            width: Width in latent pixels.
            channels: Number of channels.
        """
        return cls((height, width, channels), "float16", ("y", "x", "channel"))

    @classmethod
    def vector(cls, size: int) -> Self:
        """Make the spec of float16 vectors, such as text embeddings or features.

        Args:
            size: Number of values per vector.
        """
        return cls((size,), "float16", ("feature",))


FLAGS = {"valid": ArraySpec((), "bool", ()), "seed": ArraySpec((), "uint64", ())}


def create_array(group: zarr.Group, name: str, spec: ArraySpec, count: int, shard_rows: int) -> None:
    """Add an array of ``count`` rows to a group, with one chunk per row and one object per shard.

    A flag has one value per row, and one chunk per shard. Every chunk has a checksum, so that any Zarr reader raises
    an error on a flipped bit.
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


def encode_metadata(
    arrays: dict[str, ArraySpec], count: int, shard_rows: int, provenance: dict[str, Any]
) -> dict[str, bytes]:
    """Encode all Zarr metadata of a store, consolidated: path -> bytes. Equal arguments give equal bytes.

    Works in memory, so that each document can then be written in one step.
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
        # Readers without support for consolidated metadata can ignore it.
        warnings.filterwarnings("ignore", message="Consolidated metadata")
        zarr.consolidate_metadata(memory)
    return {path: document.to_bytes() for path, document in documents.items()}


def make_object_path(array: zarr.Array[Any], shard: int) -> str:
    """Return the path of the object that holds a shard of an array, relative to the array's URL."""
    place = (shard, *(0 for _ in array.shape[1:]))
    return str(array.metadata.encode_chunk_key(place))
