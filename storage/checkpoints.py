"""Training checkpoints at any fsspec URL: one object per step, and a marker that completes it.

{url}/checkpoints/step-00000100/state.pt
{url}/checkpoints/step-00000100/checkpoint.json    written last; a folder without it is incomplete
"""

import hashlib
from dataclasses import asdict, dataclass

from tenacity import TryAgain, retry, retry_if_exception_type

from storage import locations
from storage.errors import NewerVersionError, UserError

VERSION = 2
MARKER = "checkpoint.json"
MARKERS = (MARKER, "manifest.json")  # version 1 used the second name, and had no field ``version``


@dataclass(frozen=True)
class Marker:
    """The marker of a complete checkpoint: its step, the size in bytes and SHA-256 of ``state.pt``, and its format."""

    step: int
    bytes: int
    sha256: str
    version: int = 1


def list_steps(url: str) -> list[int]:
    """List the steps of an output's checkpoints, complete or not, in ascending order."""
    names = locations.list_names(locations.join(url, "checkpoints"))
    return [int(name[5:]) for name in names if name.startswith("step-")]


@retry(retry=retry_if_exception_type(TryAgain))
def list_complete_steps(url: str) -> list[int]:
    """List the steps of an output's complete checkpoints, in ascending order.

    Safe to call while another driver writes and removes checkpoints: the listing is repeated if they change.
    """
    steps = list_steps(url)
    complete = [step for step in steps if _find_marker(make_checkpoint_url(url, step))]
    if list_steps(url) != steps:
        raise TryAgain
    return complete


def find_newest_step(url: str) -> int:
    """Find the step of the newest complete checkpoint, which a training resumes from; 0 if there is none."""
    return max(list_complete_steps(url), default=0)


def write_checkpoint(url: str, step: int, state: bytes, keep: int) -> None:
    """Write a checkpoint, then remove all but the newest ``keep`` complete ones.

    A newer, incomplete checkpoint stays, because another driver of the same training may be writing it.
    """
    folder = make_checkpoint_url(url, step)
    locations.write_bytes(locations.join(folder, "state.pt"), state)
    marker = Marker(step, len(state), hashlib.sha256(state).hexdigest(), VERSION)
    locations.write_json(locations.join(folder, MARKER), asdict(marker))
    oldest_kept = list_complete_steps(url)[-keep:][0]
    for old in list_steps(url):
        if old < oldest_kept:
            remove_checkpoint(url, old)


def read_checkpoint(url: str, step: int) -> bytes:
    """Read the state of a complete checkpoint.

    Raises UserError if its checksum is wrong, NewerVersionError if a newer version of latentcrf wrote it, and
    FileNotFoundError if another driver has removed it.
    """
    folder = make_checkpoint_url(url, step)
    state = locations.read_bytes(locations.join(folder, "state.pt"))
    found = hashlib.sha256(state).hexdigest()
    if found != _read_checksum(folder):
        raise UserError(
            "the checkpoint as it was written",
            f"other bytes (SHA-256 {found[:16]}) at {folder}",
            "delete that folder and run the same command again; it continues from the checkpoint before",
        )
    return state


def remove_checkpoint(url: str, step: int) -> None:
    """Remove a checkpoint, its marker first, so that an interrupted removal leaves an incomplete checkpoint."""
    folder = make_checkpoint_url(url, step)
    for marker in MARKERS:
        locations.remove(locations.join(folder, marker))
    locations.remove_folder(folder)


def make_checkpoint_url(url: str, step: int) -> str:
    """Return the URL of a checkpoint's folder."""
    return locations.join(url, "checkpoints", f"step-{step:08d}")


def _find_marker(folder: str) -> str | None:
    """Return the name of a checkpoint's marker; None if the checkpoint is not complete."""
    return next((name for name in MARKERS if locations.exists(locations.join(folder, name))), None)


def _read_checksum(folder: str) -> str | None:
    """Read the SHA-256 in a checkpoint's marker; None if the marker is damaged."""
    url = locations.join(folder, _find_marker(folder) or MARKER)
    try:
        values = locations.read_json(url)
        version = values.get("version", 1)
        if version > VERSION:
            raise NewerVersionError(f"a checkpoint of version {VERSION} or older", f"{version} in {url}")
        return Marker(**values).sha256
    except (ValueError, TypeError, AttributeError):  # no JSON, other fields, or no object
        return None
