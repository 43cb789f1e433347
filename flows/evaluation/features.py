"""The network whose features an evaluation compares images by."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from crf.features.files import fingerprint_features
from storage.errors import UserError
from storage.model_files.folders import local_folder


def identify_features(url: str | None) -> str:
    """Return the fingerprint of the network, without loading it. Fetches one that is elsewhere.

    Raises UserError if there is none.
    """
    path = find_network(url)
    if path and not Path(path).exists():
        raise UserError("a transformers folder or a TorchScript file", f"nothing at {url}", "check --features")
    return fingerprint_features(path)


def describe_features(url: str | None) -> tuple[dict[str, Any], bool]:
    """Load the network and return its description as JSON types, and whether it encodes captions, too."""
    from crf.features.loading import load_features

    network = load_features(find_network(url))
    return asdict(network.description), network.encode_captions(["a caption"]) is not None


def find_network(url: str | None) -> str | None:
    """Return the path of the network on this machine; None for the default one."""
    return local_folder(url) if url else None
