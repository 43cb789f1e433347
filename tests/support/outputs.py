"""Outputs below a root, as a training stage leaves them."""

from pathlib import Path

from storage import Identity, locations
from storage.outputs import Output, find_outputs


def write_training_output(root: Path, stage: str, inputs: dict[str, str], sealed: bool = True) -> Output:
    """Write a training's identity and one checkpoint, and seal it if asked."""
    identity = Identity(stage, 1, inputs, {"steps": 40})
    identity.write(str(root))
    url = identity.url(str(root))
    locations.write_bytes(f"{url}/checkpoints/step-00000030/state.pt", b"state")
    locations.write_json(f"{url}/checkpoints/step-00000030/manifest.json", {})
    if sealed:
        locations.write_json(f"{url}/manifest.json", {})
    return next(output for output in find_outputs(str(root)) if output.url == url)
