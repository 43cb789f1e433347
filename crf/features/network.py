"""What a network that turns images into features offers, and how a protocol names it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from torch import Tensor

# SHA-256 of a file -> the network by whose features the Fréchet distance is called FID.
# NVIDIA's TorchScript translation of the Inception of 2015-12-05, as StyleGAN2-ADA and clean-fid download it.
FID_NETWORKS = {
    "f58cb9b6ec323ed63459aa4fb441fe750cfe39fafad6da5cb504a16f19e958f4": "Inception-v3 (inception-2015-12-05.pt)",
}


@dataclass(frozen=True)
class FeatureDescription:
    """How features are computed: everything that can change their values, and no paths.

    Args:
        name: Name of the network.
        weights_sha256: SHA-256 of its weights.
        layer: The layer that gives the features.
        width: Number of features.
        resize: How images are resized.
        range: Values of the pixels that the network takes.
        quantised: Whether pixels are rounded to bytes first, as an image file does.
    """

    name: str
    weights_sha256: str
    layer: str
    width: int
    resize: str
    range: str
    quantised: bool

    @property
    def distance(self) -> str:
        """The name of the Fréchet distance of these features: "FID" for a known Inception only."""
        return "FID" if self.weights_sha256 in FID_NETWORKS else "Fréchet distance"


class FeatureNetwork(Protocol):
    """The interface of a network that turns images into features."""

    description: FeatureDescription

    def __call__(self, x_BCHW: Tensor) -> Tensor:
        """Map pixels in [-1, 1] (B, 3, H, W) to features float32 (B, D) on the CPU."""

    def encode_captions(self, captions: Sequence[str]) -> Tensor | None:
        """Map captions to features float32 (B, D) that compare with the images'; None without a text encoder."""
