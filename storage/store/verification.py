"""Check a store against its checksums, byte for byte, and remove damaged objects so that its stage writes them again.

The manifest of a sealed store has the checksums of every shard's values and of all other objects. The manifest and
the commit records contain checksums of their own. In an unsealed store, only committed shards can be checked.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

import numpy as np
import zarr

from storage import locations
from storage.endpoints import translate_errors
from storage.errors import UserError
from storage.records import R, compute_sha256, hash_object, parse_record
from storage.seals import MANIFEST
from storage.store.handle import open_group
from storage.store.layout import CREATED, GROUP, INDEX, make_commit_path, make_object_path
from storage.store.records import CommitRecord, CreatedRecord, ShardRecord, StoreManifest

CHANGED, MISSING, FOREIGN = "not what was written", "missing", "foreign: no part of this store"


@dataclass(frozen=True)
class Problem:
    """A problem with one object of a store.

    Args:
        path: The object's path, relative to the store's URL.
        problem: "not what was written", "missing" or "foreign: no part of this store".
        shard: Number of the shard that the object belongs to; None if it belongs to none.
    """

    path: str
    problem: str
    shard: int | None = None


def verify(url: str) -> list[Problem]:
    """Read every object of a store once and compare it with its checksum.

    Args:
        url: Path or fsspec URL of the store. Of an unsealed store, the committed shards are checked.

    Returns:
        One problem per object that is damaged, missing or foreign, sorted by path; empty if there are none.

    Raises:
        UserError: There is no latent store at ``url``.
        NewerVersionError: A newer version of latentcrf has written the store.
        EndpointError: The object store or the disk does not answer.

    Example:
        >>> verify("runs/demo/encode/0123456789abcdef")
        [Problem(path='text/c/2/0', problem='not what was written', shard=2)]
    """
    url = locations.make_absolute(url)
    found = set(locations.find(url))
    if not found & {GROUP, CREATED, INDEX}:
        raise UserError("a latent store", f"none at {url}", "check the URL, or run the stage that writes it")
    manifest = _read_record(url, MANIFEST, StoreManifest) if MANIFEST in found else None
    problems = [*_check_records(url, found, manifest), *_check_objects(url, found, manifest)]
    problems += _check_group(url, found - {problem.path for problem in problems})
    arrays, unreadable = _open_arrays(url, found - {problem.path for problem in problems})
    problems += unreadable
    committed: dict[int, ShardRecord | None] = {n: None for n in range(len(found)) if make_commit_path(n) in found}
    if manifest is not None:
        committed = {entry.shard: entry for entry in manifest.shards}
    for shard, sealed in committed.items():
        problems += _check_shard(url, found, arrays, shard, sealed)
    if manifest is not None:
        problems += [Problem(path, FOREIGN) for path in found - _list_expected(found, arrays, manifest)]
    return sorted(problems, key=attrgetter("path"))


def repair(url: str, problems: list[Problem]) -> list[str]:
    """Remove a store's seal, its damaged objects and the commit records of its damaged shards.

    The next run of the store's stage writes these objects again, and seals the store. Foreign objects stay. Does
    nothing if there is no other problem.

    Args:
        url: Path or fsspec URL of the store.
        problems: The result of ``verify``.

    Returns:
        Paths of the removed objects, relative to ``url``, in the order of their removal.

    Raises:
        EndpointError: The object store or the disk does not answer. Verify and repair again to finish.

    Example:
        >>> repair(url, verify(url))
        ['manifest.json', 'text/c/2/0', 'commits/00002.json']
    """
    url = locations.make_absolute(url)
    curable = [problem for problem in problems if problem.problem != FOREIGN]
    if not curable:
        return []
    found = set(locations.find(url))
    doomed = {problem.path for problem in curable}
    if any(path in (MANIFEST, CREATED, INDEX) or path.endswith(GROUP) for path in doomed):
        # The layout follows from the stage's parameters and is cheap, so all of it is written again.
        doomed |= {CREATED, INDEX, *(path for path in found if path.endswith(GROUP))}
    doomed |= {make_commit_path(problem.shard) for problem in curable if problem.shard is not None}
    # The seal first and the commit records last, so that an interrupted repair can be repeated.
    order = sorted(found & {*doomed, MANIFEST}, key=lambda path: (path != MANIFEST, path.startswith("commits/"), path))
    for path in order:
        locations.remove(locations.join(url, path))
    return order


def _read_record(url: str, path: str, kind: type[R]) -> R | None:
    url = locations.join(url, path)
    return parse_record(locations.read_bytes(url), kind, url)


def _check_records(url: str, found: set[str], manifest: StoreManifest | None) -> Iterator[Problem]:
    if CREATED not in found:
        yield Problem(CREATED, MISSING)
    elif _read_record(url, CREATED, CreatedRecord) is None:
        yield Problem(CREATED, CHANGED)
    if MANIFEST in found and manifest is None:
        yield Problem(MANIFEST, CHANGED)


def _check_objects(url: str, found: set[str], manifest: StoreManifest | None) -> Iterator[Problem]:
    """Check the objects that are neither records nor shards. Without a manifest, only whether they exist."""
    checksums: dict[str, str | None] = {**manifest.objects} if manifest else {GROUP: None, INDEX: None}
    for path, checksum in checksums.items():
        if path not in found:
            yield Problem(path, MISSING)
        elif checksum and hash_object(locations.join(url, path)) != checksum:
            yield Problem(path, CHANGED)


def _check_group(url: str, undamaged: set[str]) -> Iterator[Problem]:
    """Check that the group can be opened, the only check without a manifest. Raises NewerVersionError."""
    if GROUP in undamaged:
        try:
            open_group(url, "r")
        except (ValueError, KeyError, TypeError):
            yield Problem(GROUP, CHANGED)


def _open_arrays(url: str, undamaged: set[str]) -> tuple[dict[str, zarr.Array[Any]], list[Problem]]:
    """Open the arrays, the only check of their metadata without a manifest. Returns arrays by name, and problems."""
    arrays, problems = {}, []
    for path in (path for path in undamaged if path.endswith(f"/{GROUP}")):
        name = path.removesuffix(f"/{GROUP}")
        try:
            with translate_errors(url):
                arrays[name] = zarr.open_array(locations.join(url, name), mode="r")
        except (ValueError, KeyError, TypeError):
            problems.append(Problem(path, CHANGED))
    return arrays, problems


def _check_shard(
    url: str, found: set[str], arrays: dict[str, zarr.Array[Any]], shard: int, sealed: ShardRecord | None
) -> Iterator[Problem]:
    """Check a shard's commit record and its values in each array. ``sealed``: its entry in the manifest, if any."""
    path = make_commit_path(shard)
    commit = _read_record(url, path, CommitRecord) if path in found else None
    if path not in found:
        yield Problem(path, MISSING, shard)
    elif commit is None or (sealed and sealed.sha256 != commit.sha256):
        yield Problem(path, CHANGED, shard)
    record = sealed or commit
    if record is None:
        return
    for name, checksum in record.sha256.items():
        if name in arrays and hash_values(arrays[name], slice(*record.rows)) != checksum:
            path = f"{name}/{make_object_path(arrays[name], shard)}"
            yield Problem(path, CHANGED if path in found else MISSING, shard)


def hash_values(array: zarr.Array[Any], rows: slice) -> str | None:
    """Compute the SHA-256 of these rows. None if their object is damaged, so that zarr cannot read it."""
    try:
        with translate_errors(str(array.store_path)):
            return compute_sha256(np.asarray(array[rows]).tobytes())
    except ValueError:
        return None


def _list_expected(found: set[str], arrays: dict[str, zarr.Array[Any]], manifest: StoreManifest) -> set[str]:
    """List the paths of everything in a sealed store, and of all objects in arrays that cannot be opened."""
    shards = [entry.shard for entry in manifest.shards]
    names = {path.removesuffix(f"/{GROUP}") for path in manifest.objects if path.endswith(f"/{GROUP}")}
    closed = tuple(f"{name}/" for name in names - set(arrays))
    return {
        MANIFEST,
        CREATED,
        *manifest.objects,
        *(make_commit_path(shard) for shard in shards),
        *(f"{name}/{make_object_path(array, shard)}" for name, array in arrays.items() for shard in shards),
        *(path for path in found if path.startswith(closed)),
    }
