"""Training checkpoints at any fsspec URL: one object per step, and a marker that completes it.

{url}/checkpoints/step-00000100/state.pt
{url}/checkpoints/step-00000100/checkpoint.json    written last; a folder without it is no checkpoint
"""

import hashlib
from dataclasses import asdict, dataclass

from tenacity import TryAgain, retry, retry_if_exception_type

from storage import locations
from storage.errors import NewerVersionError, UserError

VERSION = 2
MARKER = "checkpoint.json"
MARKERS = (MARKER, "manifest.json")  # the second: of version 1, without the field ``version``


@dataclass(frozen=True)
class Marker:
    """The marker of a checkpoint: its format's version, its step, and the size and checksum of ``state.pt``."""

    step: int
    bytes: int
    sha256: str
    version: int = 1


def list_steps(url: str) -> list[int]:
    """Steps of an output's checkpoints, complete or not, in ascending order."""
    names = locations.list_names(locations.join(url, "checkpoints"))
    return [int(name[5:]) for name in names if name.startswith("step-")]


@retry(retry=retry_if_exception_type(TryAgain))
def list_complete_steps(url: str) -> list[int]:
    """Steps of an output's complete checkpoints at one moment, in ascending order.

    Another driver may write a checkpoint and remove an older one in between; then the listing is repeated.
    """
    steps = list_steps(url)
    complete = [step for step in steps if _find_marker(checkpoint_url(url, step))]
    if list_steps(url) != steps:
        raise TryAgain
    return complete


def find_newest_step(url: str) -> int:
    """Step of the newest complete checkpoint, from which a training continues; 0 if there is none."""
    return max(list_complete_steps(url), default=0)


def write_checkpoint(url: str, step: int, state: bytes, keep: int) -> None:
    """Write a checkpoint, then remove all that are older than the newest ``keep``.

    A newer folder without a marker stays: another driver of the same training may be writing it.
    """
    folder = checkpoint_url(url, step)
    locations.write_bytes(locations.join(folder, "state.pt"), state)
    marker = Marker(step, len(state), hashlib.sha256(state).hexdigest(), VERSION)
    locations.write_json(locations.join(folder, MARKER), asdict(marker))
    oldest_kept = list_complete_steps(url)[-keep:][0]
    for old in list_steps(url):
        if old < oldest_kept:
            remove_checkpoint(url, old)


def read_checkpoint(url: str, step: int) -> bytes:
    """Read the state of a complete checkpoint.

    Raises UserError if it is not what was written, NewerVersionError if a newer version wrote it, and
    FileNotFoundError if another driver has removed it.
    """
    folder = checkpoint_url(url, step)
    state = locations.read_bytes(locations.join(folder, "state.pt"))
    found = hashlib.sha256(state).hexdigest()
    if found != _read_checksum(folder):
        raise UserError(
            "the checkpoint as it was written",
            f"another (SHA-256 {found[:16]}) at {folder}",
            "delete that folder; the same command then continues from the checkpoint before it",
        )
    return state


def remove_checkpoint(url: str, step: int) -> None:
    """Remove a checkpoint, its marker first: what an interrupted removal leaves is no checkpoint."""
    folder = checkpoint_url(url, step)
    for marker in MARKERS:
        locations.remove(locations.join(folder, marker))
    locations.remove_folder(folder)


def checkpoint_url(url: str, step: int) -> str:
    """URL of the folder of one checkpoint."""
    return locations.join(url, "checkpoints", f"step-{step:08d}")


def _find_marker(folder: str) -> str | None:
    """Name of the marker that the checkpoint has; None if it is not complete."""
    return next((name for name in MARKERS if locations.exists(locations.join(folder, name))), None)


def _read_checksum(folder: str) -> str | None:
    """The SHA-256 in a checkpoint's marker; None if the marker is damaged."""
    url = locations.join(folder, _find_marker(folder) or MARKER)
    try:
        values = locations.read_json(url)
        version = values.get("version", 1)
        if version > VERSION:
            raise NewerVersionError(f"a checkpoint of version {VERSION} or older", f"{version} in {url}")
        return Marker(**values).sha256
    except (ValueError, TypeError, AttributeError):  # no JSON, other fields, or no object
        return None
