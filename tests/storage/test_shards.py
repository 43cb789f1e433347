from pathlib import Path

import numpy as np
import pytest
import zarr

from storage.layout import ArraySpec, create_array, shard_object
from storage.shards import encode, read_rows

ROWS, SHARD_ROWS = 7, 4


@pytest.fixture(params=[(3, 2, 8), (5,)], ids=["latent", "vector"])
def array(request: pytest.FixtureRequest, tmp_path: Path) -> zarr.Array:
    spec = ArraySpec(request.param, "float16", ("y", "x", "channel")[: len(request.param)])
    create_array(zarr.open_group(str(tmp_path), mode="w"), "a", spec, ROWS, SHARD_ROWS)
    return zarr.open_array(str(tmp_path / "a"), mode="r+")


def written(array: zarr.Array) -> np.ndarray:
    values = np.random.default_rng(0).standard_normal(array.shape).astype(np.float16)
    array[:] = values
    return values


def file_of(array: zarr.Array, shard: int) -> Path:
    return Path(str(array.store_path).removeprefix("file://")) / shard_object(array, shard)


@pytest.mark.parametrize("rows", [slice(0, 4), slice(4, 7)])
def test_the_bytes_are_those_of_zarr(array: zarr.Array, rows: slice) -> None:
    values = written(array)[rows]
    file = file_of(array, rows.start // SHARD_ROWS)
    assert b"".join(encode(values, SHARD_ROWS)) == file.read_bytes()
    np.testing.assert_array_equal(read_rows(str(file), array, rows), values)


def test_rows_that_zarr_left_out_are_nan(array: zarr.Array) -> None:
    values = written(array)
    values[[1, 4, 5, 6]] = np.nan
    array[:] = values
    assert not file_of(array, 1).exists()
    for rows in (slice(0, 4), slice(4, 7)):
        found = read_rows(str(file_of(array, rows.start // SHARD_ROWS)), array, rows)
        np.testing.assert_array_equal(found, values[rows])


def test_zarr_reads_rows_of_nan_that_are_written(array: zarr.Array) -> None:
    values = np.full((4, *array.shape[1:]), np.nan, np.float16)
    values[2] = 1
    file_of(array, 0).parent.mkdir(parents=True)
    file_of(array, 0).write_bytes(b"".join(encode(values, SHARD_ROWS)))
    np.testing.assert_array_equal(np.asarray(array[:4]), values)


def test_every_flipped_bit_and_every_cut_raises(array: zarr.Array) -> None:
    written(array)
    file = file_of(array, 1)
    whole = file.read_bytes()
    damaged = [bytes([*whole[:at], whole[at] ^ 1 << at % 8, *whole[at + 1 :]]) for at in range(0, len(whole), 3)]
    for data in [*damaged, *(whole[:size] for size in range(0, len(whole), 5))]:
        file.write_bytes(data)
        with pytest.raises(ValueError, match=r"checksum|empty"):
            read_rows(str(file), array, slice(4, 7))
