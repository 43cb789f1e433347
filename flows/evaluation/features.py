"""The network whose features an evaluation compares images by."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from crf.features.files import fingerprint_features
from storage.errors import UserError


def identify_features(path: str | None) -> str:
    """Return the fingerprint of the network, without loading it. Raises UserError if there is none."""
    if path and not Path(path).exists():
        raise UserError("a transformers folder or a TorchScript file", f"nothing at {path}", "check --features")
    return fingerprint_features(path)


def describe_features(path: str | None) -> tuple[dict[str, Any], bool]:
    """Load the network and return its description as JSON types, and whether it encodes captions, too."""
    from crf.features.loading import load_features

    network = load_features(path)
    return asdict(network.description), network.encode_captions(["a caption"]) is not None
