"""Training checkpoints at any fsspec URL: one object of bytes a step, and a marker that makes it count.

{url}/checkpoints/step-00000100/state.pt
{url}/checkpoints/step-00000100/manifest.json    written last; without it there is no checkpoint
"""

import hashlib

import fsspec

from storage import locations

MARKER = "manifest.json"


def complete_steps(url: str) -> list[int]:
    """Steps of the complete checkpoints of an output, ascending."""
    folder = locations.join(url, "checkpoints")
    names = [name for name in locations.list_names(folder) if name.startswith("step-")]
    return [int(name[5:]) for name in names if locations.exists(locations.join(folder, name, MARKER))]


def newest_step(url: str) -> int:
    """The step to go on from: that of the newest complete checkpoint, or 0."""
    return max(complete_steps(url), default=0)


def write_checkpoint(url: str, step: int, state: bytes, keep: int) -> None:
    """Put a checkpoint in place in one step, then remove all but the newest ``keep``."""
    folder = checkpoint_url(url, step)
    locations.write_bytes(locations.join(folder, "state.pt"), state)
    marker = {"step": step, "bytes": len(state), "sha256": hashlib.sha256(state).hexdigest()}
    locations.write_json(locations.join(folder, MARKER), marker)
    for old in complete_steps(url)[:-keep]:
        remove_checkpoint(url, old)


def read_checkpoint(url: str, step: int) -> bytes:
    return locations.read_bytes(locations.join(checkpoint_url(url, step), "state.pt"))


def remove_checkpoint(url: str, step: int) -> None:
    """The marker first: what is left of a removal that was cut short is no checkpoint."""
    fs, folder = fsspec.url_to_fs(checkpoint_url(url, step))
    fs.rm_file(locations.join(folder, MARKER))
    fs.rm(folder, recursive=True)


def checkpoint_url(url: str, step: int) -> str:
    return locations.join(url, "checkpoints", f"step-{step:08d}")
