"""Is a store what was written, byte for byte? And, where it is not, what its stage has to make again.

A sealed store's manifest has the checksum of every object that is not a shard, and of every shard's
values; the manifest and the commit records have their own. Of an unsealed store only the committed
shards can be checked.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import zarr

from storage import locations
from storage.endpoints import translate_errors
from storage.errors import UserError
from storage.store.layout import CREATED, GROUP, INDEX, MANIFEST, commit_path, shard_object
from storage.store.records import Record, intact_record, object_sha256, sha256

CHANGED, MISSING, FOREIGN = "not what was written", "missing", "foreign: no part of this store"


@dataclass(frozen=True)
class Problem:
    """An object of a store (its path from the store's URL), what is wrong, and whose shard's it is, if any's."""

    path: str
    problem: str
    shard: int | None = None


def verify(url: str) -> list[Problem]:
    """Read every object of a store once; a problem for each that is damaged, missing or foreign.

    Raises UserError where there is no store.
    """
    url = locations.make_absolute(url)
    found = set(locations.find(url))
    if not found & {GROUP, MANIFEST, CREATED}:
        raise UserError("a latent store", f"none at {url}", "check the URL, or run the stage that writes it")
    manifest = _record(url, MANIFEST) if MANIFEST in found else None
    problems = [*_record_problems(url, found), *_object_problems(url, found, manifest)]
    arrays, closed = _open_arrays(url, found - {problem.path for problem in problems})
    problems += closed
    committed: dict[int, Record | None] = {shard: None for shard in range(len(found)) if commit_path(shard) in found}
    if manifest is not None:
        committed = {entry["shard"]: entry for entry in manifest["shards"]}
    for shard, sealed in committed.items():
        problems += _shard_problems(url, found, arrays, shard, sealed)
    if manifest is not None:
        problems += [Problem(path, FOREIGN) for path in sorted(found - _expected(found, arrays, manifest))]
    return problems


def repair(url: str, problems: list[Problem]) -> list[str]:
    """Un-seal the store and delete what is damaged, with the commit records of the damaged shards. -> what went.

    The stage's next run makes just that again, and seals. Foreign objects stay where they are.
    """
    url = locations.make_absolute(url)
    curable = [problem for problem in problems if problem.problem != FOREIGN]
    if not curable:
        return []
    found = set(locations.find(url))
    doomed = {problem.path for problem in curable}
    if any(path in (MANIFEST, CREATED, INDEX) or path.endswith(GROUP) for path in doomed):
        # The layout follows from the stage's parameters and costs nothing to make: all of it anew.
        doomed |= {CREATED, INDEX, *(path for path in found if path.endswith(GROUP))}
    doomed |= {commit_path(problem.shard) for problem in curable if problem.shard is not None}
    # First what makes the rest count as sealed; the records last, so that a repair cut short can be repeated.
    order = sorted(found & {*doomed, MANIFEST}, key=lambda path: (path != MANIFEST, path.startswith("commits/"), path))
    for path in order:
        locations.remove(locations.join(url, path))
    return order


def _record(url: str, path: str) -> Record | None:
    return intact_record(locations.read_bytes(locations.join(url, path)))


def _record_problems(url: str, found: set[str]) -> Iterator[Problem]:
    if CREATED not in found:
        yield Problem(CREATED, MISSING)
    for path in {MANIFEST, CREATED} & found:
        if _record(url, path) is None:
            yield Problem(path, CHANGED)


def _object_problems(url: str, found: set[str], manifest: Record | None) -> Iterator[Problem]:
    """Of what is neither a record nor a shard. Without a manifest it can only be missing."""
    checksums: dict[str, str | None] = manifest["objects"] if manifest else {GROUP: None, INDEX: None}
    for path, checksum in checksums.items():
        if path not in found:
            yield Problem(path, MISSING)
        elif checksum and object_sha256(locations.join(url, path)) != checksum:
            yield Problem(path, CHANGED)


def _open_arrays(url: str, undamaged: set[str]) -> tuple[dict[str, zarr.Array[Any]], list[Problem]]:
    """The arrays by name, and what was found only by trying to open them: without a manifest nothing else tells."""
    arrays, problems = {}, []
    for path in sorted(path for path in undamaged if path.endswith(f"/{GROUP}")):
        name = path.removesuffix(f"/{GROUP}")
        try:
            with translate_errors(url):
                arrays[name] = zarr.open_array(locations.join(url, name), mode="r")
        except (ValueError, KeyError, TypeError):
            problems.append(Problem(path, CHANGED))
    return arrays, problems


def _shard_problems(
    url: str, found: set[str], arrays: dict[str, zarr.Array[Any]], shard: int, sealed: Record | None
) -> Iterator[Problem]:
    """Of a shard's commit record and of its values in each array. ``sealed``: the manifest's word on it."""
    path = commit_path(shard)
    record = _record(url, path) if path in found else None
    if path not in found:
        yield Problem(path, MISSING, shard)
    elif record is None or (sealed and sealed["sha256"] != record["sha256"]):
        yield Problem(path, CHANGED, shard)
    entry = sealed or record
    if entry is None:
        return
    for name, checksum in entry["sha256"].items():
        if name in arrays and values_checksum(arrays[name], slice(*entry["rows"])) != checksum:
            path = f"{name}/{shard_object(arrays[name], shard)}"
            yield Problem(path, CHANGED if path in found else MISSING, shard)


def values_checksum(array: zarr.Array[Any], rows: slice) -> str | None:
    """Of these rows; None where their object cannot be read: a checksum in it is wrong, or a part is cut off."""
    try:
        with translate_errors(str(array.store_path)):
            return sha256(np.asarray(array[rows]).tobytes())
    except ValueError:
        return None


def _expected(found: set[str], arrays: dict[str, zarr.Array[Any]], manifest: Record) -> set[str]:
    """What belongs to a sealed store; of an array that cannot be opened, all that lies in it."""
    shards = [entry["shard"] for entry in manifest["shards"]]
    names = {path.removesuffix(f"/{GROUP}") for path in manifest["objects"] if path.endswith(f"/{GROUP}")}
    closed = tuple(f"{name}/" for name in names - set(arrays))
    return {
        MANIFEST,
        CREATED,
        *manifest["objects"],
        *(commit_path(shard) for shard in shards),
        *(f"{name}/{shard_object(array, shard)}" for name, array in arrays.items() for shard in shards),
        *(path for path in found if path.startswith(closed)),
    }
