"""Where fetched models are kept on this machine, and what to say if they do not fit there."""

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import humanize

from storage.errors import UserError

VARIABLE = "LATENTCRF_CACHE"
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def find_cache() -> Path:
    """Return the folder for fetched models: that of LATENTCRF_CACHE, by default ~/.cache/latentcrf/models."""
    return Path(os.environ.get(VARIABLE) or Path.home() / ".cache/latentcrf/models").absolute()


def make_cache() -> Path:
    """Return the folder for fetched models, which exists. Raises UserError if it cannot be made."""
    cache = find_cache()
    try:
        cache.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        found = f"none at {cache} ({error.strerror})"
        raise UserError(
            "a folder for fetched models", found, f"set {VARIABLE} to a folder that you can write"
        ) from None
    return cache


def has_room(needed: int) -> bool:
    """Return whether so many bytes fit into the cache."""
    return shutil.disk_usage(make_cache()).free > needed


def keep_room(folder: Path, needed: int) -> None:
    """Raise UserError if so many bytes do not fit on the disk of the cache."""
    if not has_room(needed):
        raise describe_full(folder, needed)


@contextmanager
def explain_full_disk(folder: Path, needed: int) -> Iterator[None]:
    """Re-raise an error of a full disk within the block as UserError. ``needed``: bytes, for the message."""
    try:
        yield
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise describe_full(folder, needed) from error


def describe_full(folder: Path, needed: int) -> UserError:
    """Make the error of a disk that is too full for so many bytes."""
    free = shutil.disk_usage(find_cache()).free
    return UserError(
        f"{humanize.naturalsize(needed)} ({needed} bytes) of room in {folder}",
        f"{humanize.naturalsize(free)} ({free} bytes) free",
        f"make room, or set {VARIABLE} to a folder on a larger disk",
    )
