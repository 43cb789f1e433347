from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import zarr

from storage.errors import DamagedStoreError
from storage.store.layout import FLAGS, ArraySpec, create_array, make_object_path
from storage.store.shards import encode, encode_flags, open_rows

ROWS, SHARD_ROWS = 7, 4
Array = zarr.Array[Any]


@pytest.fixture(params=[(3, 2, 8), (5,)], ids=["latent", "vector"])
def array(request: pytest.FixtureRequest, tmp_path: Path) -> Array:
    spec = ArraySpec(request.param, "float16", ("y", "x", "channel")[: len(request.param)])
    create_array(zarr.open_group(str(tmp_path), mode="w"), "a", spec, ROWS, SHARD_ROWS)
    return zarr.open_array(str(tmp_path / "a"), mode="r+")


def written(array: Array) -> npt.NDArray[Any]:
    values = np.random.default_rng(0).standard_normal(array.shape).astype(np.float16)
    array[:] = values
    return values


def read(array: Array, rows: slice) -> npt.NDArray[Any]:
    opened = open_rows(str(file_of(array, rows.start // SHARD_ROWS)), array, rows)
    assert opened is not None
    values = np.empty((rows.stop - rows.start, *array.shape[1:]), array.dtype)
    for row, place in enumerate(values.reshape(len(values), -1).view(np.uint8)):
        opened.copy_to(place, row)
    return values


def joined(pieces: Iterable[npt.NDArray[Any]]) -> bytes:
    return b"".join(piece.tobytes() for piece in pieces)


def file_of(array: Array, shard: int) -> Path:
    return Path(str(array.store_path).removeprefix("file://")) / make_object_path(array, shard)


@pytest.mark.parametrize("rows", [slice(0, 4), slice(4, 7)])
def test_the_bytes_are_those_of_zarr(array: Array, rows: slice) -> None:
    values = written(array)[rows]
    file = file_of(array, rows.start // SHARD_ROWS)
    assert joined(encode(values, SHARD_ROWS)) == file.read_bytes()
    np.testing.assert_array_equal(read(array, rows), values)


@pytest.mark.parametrize("name", FLAGS)
def test_the_bytes_of_flags_are_those_of_zarr(name: str, tmp_path: Path) -> None:
    create_array(zarr.open_group(str(tmp_path), mode="w"), name, FLAGS[name], ROWS, SHARD_ROWS)
    array = zarr.open_array(str(tmp_path / name), mode="r+")
    array[:] = values = np.array([1, 0, 1, 1, 0, 1, 1], array.dtype)
    assert joined(encode_flags(values[:4], SHARD_ROWS)) == file_of(array, 0).read_bytes()
    assert joined(encode_flags(values[4:], SHARD_ROWS)) == file_of(array, 1).read_bytes()


def test_what_zarr_laid_out_in_another_way_is_left_to_zarr(array: Array) -> None:
    values = written(array)
    values[[1, 4, 5, 6]] = np.nan
    array[:] = values
    assert not file_of(array, 1).exists()
    for shard, rows in enumerate((slice(0, 4), slice(4, 7))):
        assert open_rows(str(file_of(array, shard)), array, rows) is None


def test_zarr_reads_rows_of_nan_that_are_written(array: Array) -> None:
    values = np.full((4, *array.shape[1:]), np.nan, np.float16)
    values[2] = 1
    file_of(array, 0).parent.mkdir(parents=True)
    file_of(array, 0).write_bytes(joined(encode(values, SHARD_ROWS)))
    np.testing.assert_array_equal(np.asarray(array[:4]), values)


def test_every_flipped_bit_and_every_cut_raises(array: Array) -> None:
    written(array)
    file = file_of(array, 1)
    whole = file.read_bytes()
    damaged = [bytes([*whole[:at], whole[at] ^ 1 << at % 8, *whole[at + 1 :]]) for at in range(0, len(whole), 3)]
    for data in [*damaged, *(whole[:size] for size in range(0, len(whole), 5))]:
        file.write_bytes(data)
        with pytest.raises(DamagedStoreError):
            read(array, slice(4, 7))
