"""All that a store can do, wherever it lies."""

import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from storage import DamagedStoreError, LatentStore, UnsealedStoreError, UserError, locations
from storage.checkpoints import find_newest_step, read_checkpoint, write_checkpoint
from storage.outputs import find_outputs, remove_output
from storage.store.reader import shuffled_batches
from storage.store.verification import CHANGED, MISSING, Problem, repair, verify
from tests.support.stores import create_store, fill_shard, make_rows, make_store, read_objects


def test_the_same_bytes_as_on_a_disk(root: str, tmp_path: Path) -> None:
    assert read_objects(make_store(root)) == read_objects(make_store(tmp_path))


def test_from_create_to_sample(root: str) -> None:
    store = create_store(root, 5, 2)
    written = [fill_shard(store, shard) for shard in (0, 1)]
    with pytest.raises(UnsealedStoreError, match="2 of 3 shards"):
        LatentStore.open(root)
    assert create_store(root, 5, 2).committed() == {0, 1}
    written.append(fill_shard(store, 2))
    store.seal()
    opened = LatentStore.open(root)
    assert (len(opened), opened.shard_count, bool(opened.valid.all())) == (5, 3, True)
    assert opened.index["id"].to_pylist() == [row["id"] for row in make_rows(5)]
    assert opened.rows(1)["id"].to_pylist() == ["id-2", "id-3"]
    for name in ("latents", "text"):
        np.testing.assert_array_equal(opened[name][:], np.concatenate([shard[name] for shard in written]))
        np.testing.assert_array_equal(opened.shard(1)[name], written[1][name])
    assert opened.sample(4)["caption"] == "caption 4"
    batches = shuffled_batches(opened, ["latents"], 2, seed=0)
    assert sorted(np.concatenate([next(batches)["row"] for _ in range(5)])) == sorted([*range(5)] * 2)


def test_damage_is_found_named_and_repaired(root: str) -> None:
    url = make_store(root)
    whole = read_objects(url)
    assert verify(url) == []
    locations.write_bytes(f"{url}/latents/c/1/0/0/0", whole["latents/c/1/0/0/0"][:-9] + b"123456789")
    locations.remove(f"{url}/text/c/2/0")
    with pytest.raises(DamagedStoreError, match="latents/c/1"):
        LatentStore.open(url).shard(1)
    problems = verify(url)
    assert problems == [Problem("latents/c/1/0/0/0", CHANGED, 1), Problem("text/c/2/0", MISSING, 2)]
    repair(url, problems)
    assert LatentStore.open(url, allow_unsealed=True).committed() == {0}
    assert read_objects(make_store(root)) == whole


def test_outputs_and_checkpoints(root: str) -> None:
    url = make_store(root)
    for step in (1, 2, 3):
        write_checkpoint(url, step, bytes([step]), keep=2)
    assert (find_newest_step(url), read_checkpoint(url, 2)) == (3, b"\x02")
    [output] = find_outputs(root)
    assert (output.url, output.sealed, output.rows, output.progress) == (locations.make_absolute(url), True, 8, (3, 3))
    assert 0 <= output.age() < 60
    remove_output(output)
    with pytest.raises(UserError, match="none below"):
        find_outputs(root)


def test_of_two_writers_the_first_one_stays(root: str) -> None:
    for data in (b"first", b"second"):
        locations.write_new(f"{root}/object", data)
    assert locations.read_bytes(f"{root}/object") == b"first"


@pytest.mark.parametrize("scheme", ["gs", "s3"])
def test_a_bucket_that_is_not_there(scheme: str, request: pytest.FixtureRequest, latentcrf: Callable[..., Any]) -> None:
    request.getfixturevalue(f"{scheme}_root")
    for command in ("ls", "show", "verify"):
        code, out, err = latentcrf(command, f"{scheme}://nowhere/x")
        assert (code, out) == (2, "")
        assert "expected" in err
        assert "Traceback" not in err


@pytest.mark.parametrize("scheme", ["gs", "s3"])
def test_the_command_line_looks_into_buckets(
    scheme: str, request: pytest.FixtureRequest, latentcrf: Callable[..., Any]
) -> None:
    root = f"{request.getfixturevalue(f'{scheme}_root')}/{uuid.uuid4().hex}"
    url = make_store(root)
    assert latentcrf("ls", root, "--json")[1].count(url) == 1
    assert "8 rows in shards of 3, sealed" in latentcrf("show", url)[1]
    assert latentcrf("verify", url)[0] == 0
    locations.write_bytes(f"{url}/seed/c/1", b"broken")
    assert latentcrf("verify", url)[:2] == (1, "seed/c/1: not what was written\n")
