"""A store read and checked by docs/store_format.md alone: neither this library nor Zarr takes part in the reading."""

import hashlib
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq
import pytest
from crc32c import crc32c

from storage import LatentStore
from tests.support.kept_store import STORES, write_v3

Values = npt.NDArray[Any]
ABSENT = 2**64 - 1


def compute_sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def read_record(file: Path) -> dict[str, Any]:
    record: dict[str, Any] = json.loads(file.read_bytes())
    digest = compute_sha256(json.dumps({k: v for k, v in record.items() if k != "digest"}, sort_keys=True).encode())
    assert record["digest"] == digest
    assert json.dumps(record, indent=1, sort_keys=True, ensure_ascii=False).encode() == file.read_bytes()
    return record


def check_crc(data: bytes) -> bytes:
    assert crc32c(data[:-4]) == int.from_bytes(data[-4:], "little")
    return data[:-4]


def read_array(store: Path, name: str, shard: int, count: int, shard_rows: int) -> Values:
    """One shard of one array, row by row through its entries."""
    metadata = json.loads((store / name / "zarr.json").read_bytes())
    row_shape, dtype = metadata["shape"][1:], np.dtype(metadata["data_type"])
    data = (store / name / "c" / str(shard) / "/".join("0" * len(row_shape))).read_bytes()
    if not row_shape:
        values = np.frombuffer(check_crc(data), dtype)
        assert len(values) == shard_rows
        assert not values[count:].any()
        return values[:count]
    row_bytes = math.prod(row_shape) * dtype.itemsize
    assert len(data) == count * (row_bytes + 4) + 16 * shard_rows + 4
    entries = np.frombuffer(check_crc(data[-16 * shard_rows - 4 :]), "<u8").reshape(shard_rows, 2)
    assert (entries[count:] == ABSENT).all()
    rows = [check_crc(data[offset : offset + size]) for offset, size in entries[:count].tolist()]
    return np.frombuffer(b"".join(rows), dtype).reshape(count, *row_shape)


@pytest.fixture(params=["kept", "new"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """One written by an earlier version, and one written now."""
    if request.param == "kept":
        return STORES / "v1"
    write_v3(tmp_path / "store")
    return tmp_path / "store"


def test_by_the_specification_alone(store: Path) -> None:
    manifest, group = read_record(store / "manifest.json"), json.loads((store / "zarr.json").read_bytes())
    attributes, arrays = group["attributes"], {}
    count, shard_rows = read_record(store / "commits/created.json")["rows"], attributes["shard_rows"]
    names = [*attributes["arrays"], "valid", "seed"]
    metadata = {f"{name}/zarr.json" for name in names}
    assert set(manifest["objects"]) == {"zarr.json", "index.parquet", *metadata}
    assert all(compute_sha256((store / path).read_bytes()) == found for path, found in manifest["objects"].items())

    columns = ["id", "caption", "uri", "sha256" if attributes["layout_version"] == 2 else "checksum", "reason"]
    index = pq.ParquetFile(store / "index.parquet")
    assert index.schema_arrow.names == columns
    assert index.num_row_groups == len(manifest["shards"]) == math.ceil(count / shard_rows)
    for shard, entry in enumerate(manifest["shards"]):
        commit = read_record(store / f"commits/{shard:05d}.json")
        first, stop = shard * shard_rows, min((shard + 1) * shard_rows, count)
        assert commit["shard"] == entry["shard"] == shard
        assert commit["rows"] == entry["rows"] == [first, stop]
        assert {k: entry[k] for k in ("fingerprint", "sha256")} == {k: commit[k] for k in ("fingerprint", "sha256")}
        rows = index.read_row_group(shard).to_pylist()
        assert compute_sha256(json.dumps(rows).encode()) == entry["index"]
        assert {str(first + place): row["reason"] for place, row in enumerate(rows) if row["reason"]} == commit[
            "rejected"
        ]
        assert set(entry["sha256"]) == set(names)
        for name in names:
            arrays[name, shard] = read_array(store, name, shard, stop - first, shard_rows)
            assert compute_sha256(arrays[name, shard].tobytes()) == entry["sha256"][name]
        assert arrays["valid", shard].sum() == commit["valid"]
        rejected = ~arrays["valid", shard]
        assert all(np.isnan(arrays[name, shard][rejected]).all() for name in attributes["arrays"])
    assert sum(int(arrays["valid", shard].sum()) for shard in range(len(manifest["shards"]))) == manifest["valid"]
    assert manifest["rows"] == count == manifest["valid"] + manifest["rejected"]

    opened = LatentStore.open(str(store))
    for name, shard in arrays:
        assert opened.values(name, shard).tobytes() == arrays[name, shard].tobytes()


def test_every_object_is_named_by_the_specification(store: Path) -> None:
    found = {str(file.relative_to(store)) for file in store.rglob("*") if file.is_file()}
    manifest = read_record(store / "manifest.json")
    shards = range(len(manifest["shards"]))
    names = json.loads((store / "zarr.json").read_bytes())["attributes"]["arrays"]
    dimensions = {name: json.loads((store / name / "zarr.json").read_bytes())["dimension_names"] for name in names}
    values = {
        f"{name}/c/{'/'.join([str(k), *'0' * (len(axes) - 1)])}" for name, axes in dimensions.items() for k in shards
    }
    flags = {f"{name}/c/{k}" for name in ("valid", "seed") for k in shards}
    commits = {f"commits/{k:05d}.json" for k in shards}
    assert found == {*manifest["objects"], *values, *flags, *commits, "commits/created.json", "manifest.json"}
