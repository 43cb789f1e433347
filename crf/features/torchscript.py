"""Features from a TorchScript file, e.g. the Inception of FID."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from crf.errors import InputError
from crf.features.files import hash_files
from crf.features.network import FID_NETWORKS, FeatureDescription
from crf.features.pixels import RESIZE, quantise, resize

SIDE = 299


class TorchScriptFeatures:
    """Compute image features by a TorchScript file. Such a file holds code, so give only one that you trust.

    The file's network takes pixels from 0 to 255, float32 (B, 3, 299, 299), and returns features (B, D). If its
    ``forward`` has an argument ``return_features``, as NVIDIA's Inception does, it is True.

    Maps pixels in [-1, 1] (B, 3, H, W) to features float32 (B, D) on the CPU.

    Raises:
        InputError: The file is not TorchScript, or returns something else than (B, D).
    """

    def __init__(self, path: Path, device: str = "cpu") -> None:
        self._path, self._device = path, device
        self._network = load_torchscript(path).eval().to(device)
        forward: Any = self._network.forward
        names = {argument.name for argument in forward.schema.arguments}
        self._options = {"return_features": True} if "return_features" in names else {}
        sha256 = hash_files([path])
        self.description = FeatureDescription(
            name=FID_NETWORKS.get(sha256, "a TorchScript network"),
            weights_sha256=sha256,
            layer="output of forward" + (", return_features=True" if self._options else ""),
            width=self(torch.zeros(1, 3, SIDE, SIDE)).shape[1],
            resize=f"{RESIZE}, to {SIDE}",
            range="0 to 255",
            quantised=True,
        )

    @torch.no_grad()
    def __call__(self, x_BCHW: Tensor) -> Tensor:
        resized_BCHW = resize(quantise(x_BCHW.to(self._device)), SIDE)
        features_BD = self._network(resized_BCHW, **self._options)
        if not isinstance(features_BD, Tensor) or features_BD.ndim != 2:
            found = tuple(features_BD.shape) if isinstance(features_BD, Tensor) else type(features_BD).__name__
            expected = "a TorchScript network that returns features (B, D)"
            raise InputError(expected, f"{found} from {self._path}", "script one that returns its pooled features")
        return features_BD.float().cpu()

    def encode_captions(self, captions: Sequence[str]) -> None:
        return None


def load_torchscript(path: Path) -> torch.jit.ScriptModule:
    """Load a TorchScript file. Raises InputError for any other file, whose pickle is never read."""
    with warnings.catch_warnings():
        # There is no torch.export form of the networks that people compare by.
        warnings.filterwarnings("ignore", "`torch.jit.load` is deprecated", DeprecationWarning)
        try:
            network: torch.jit.ScriptModule = torch.jit.load(str(path), map_location="cpu")  # type: ignore[no-untyped-call]
        except (RuntimeError, ValueError) as error:
            expected = "a TorchScript file (torch.jit.save) or a transformers folder"
            raise InputError(expected, f"neither at {path}", "give one of these to --features") from error
    return network
