"""Training checkpoints at any fsspec URL: one object of bytes a step, and a marker that makes it count.

{url}/checkpoints/step-00000100/state.pt
{url}/checkpoints/step-00000100/manifest.json    written last; without it there is no checkpoint
"""

import errno
import hashlib

import fsspec

from storage import locations
from storage.errors import UserError

MARKER = "manifest.json"


def all_steps(url: str) -> list[int]:
    """Steps of an output's checkpoints, complete or not, ascending."""
    names = locations.list_names(locations.join(url, "checkpoints"))
    return [int(name[5:]) for name in names if name.startswith("step-")]


def complete_steps(url: str) -> list[int]:
    """Steps of the complete checkpoints of an output, ascending, as they were at one moment.

    Another driver may write one and remove an older one while they are looked at.
    """
    while True:
        steps = all_steps(url)
        complete = [step for step in steps if locations.exists(locations.join(checkpoint_url(url, step), MARKER))]
        if all_steps(url) == steps:
            return complete


def newest_step(url: str) -> int:
    """The step to go on from: that of the newest complete checkpoint, or 0."""
    return max(complete_steps(url), default=0)


def write_checkpoint(url: str, step: int, state: bytes, keep: int) -> None:
    """Put a checkpoint in place in one step, then remove what is older than the newest ``keep``.

    What is newer and has no marker yet may be another driver's, who is at the same training.
    """
    folder = checkpoint_url(url, step)
    locations.write_bytes(locations.join(folder, "state.pt"), state)
    marker = {"step": step, "bytes": len(state), "sha256": hashlib.sha256(state).hexdigest()}
    locations.write_json(locations.join(folder, MARKER), marker)
    oldest_kept = complete_steps(url)[-keep:][0]
    for old in all_steps(url):
        if old < oldest_kept:
            remove_checkpoint(url, old)


def read_checkpoint(url: str, step: int) -> bytes:
    """Raises UserError where the bytes are not those that were written."""
    folder = checkpoint_url(url, step)
    state = locations.read_bytes(locations.join(folder, "state.pt"))
    written, found = locations.read_json(locations.join(folder, MARKER))["sha256"], hashlib.sha256(state).hexdigest()
    if found != written:
        raise UserError(
            f"the checkpoint {folder} as it was written (SHA-256 {written[:16]})",
            found[:16],
            "delete that folder; the same command then goes on from the one before",
        )
    return state


def remove_checkpoint(url: str, step: int) -> None:
    """The marker first: what is left of a removal that was cut short is no checkpoint, and goes with the next."""
    locations.remove(locations.join(checkpoint_url(url, step), MARKER))
    fs, folder = fsspec.url_to_fs(checkpoint_url(url, step))
    try:
        fs.rm(folder, recursive=True)
    except FileNotFoundError:  # another driver has removed it meanwhile
        pass
    except OSError as error:  # or is writing it once more, and then removes it itself
        if error.errno != errno.ENOTEMPTY:
            raise


def checkpoint_url(url: str, step: int) -> str:
    return locations.join(url, "checkpoints", f"step-{step:08d}")
