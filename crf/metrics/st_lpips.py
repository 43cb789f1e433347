"""ST-LPIPS, the shift-tolerant perceptual distance (Ghildyal & Liu 2022). It is not LPIPS, and its values differ.

Licence: the weights come from PyPI's stlpips-pytorch, BSD-2 by its LICENSE (its classifier says MIT). Its network
code, which is neither imported nor copied here, is partly Adobe's under CC BY-NC-SA 4.0: ask before commercial use.
"""

import importlib.util
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from crf.errors import InputError
from crf.features.files import hash_files

WEIGHTS = "weights/vST0.0/alex_shift_tolerant.pth"


class STLPIPS:
    """Compute ST-LPIPS of pairs of images, by an AlexNet with blurred downsampling.

    Maps two batches of pixels in [-1, 1] (B, 3, H, W) to distances float32 (B,) on the CPU; 0 for equal images.

    Raises InputError without the package stlpips-pytorch.
    """

    def __init__(self, device: str = "cpu") -> None:
        path = find_weights()
        self.weights_sha256 = hash_files([path])
        weights = torch.load(path, weights_only=True, map_location="cpu")
        self._weights = {name.removeprefix("net."): value.to(device) for name, value in weights.items()}
        self._device = device

    @torch.no_grad()
    def __call__(self, a_BCHW: Tensor, b_BCHW: Tensor) -> Tensor:
        pairs = zip(self._extract(a_BCHW), self._extract(b_BCHW), strict=True)
        layers = [self._compare(number, a, b) for number, (a, b) in enumerate(pairs)]
        return torch.stack(layers).sum(0).cpu()

    def _compare(self, layer: int, a_BCHW: Tensor, b_BCHW: Tensor) -> Tensor:
        """Average the weighted squared difference of the unit features over the image, (B,)."""
        squared_BCHW = (F.normalize(a_BCHW, eps=1e-10) - F.normalize(b_BCHW, eps=1e-10)).square()
        return F.conv2d(squared_BCHW, self._weights[f"lin{layer}.model.1.weight"]).mean((1, 2, 3))

    def _extract(self, x_BCHW: Tensor) -> Iterator[Tensor]:
        """Yield the five layers' features."""
        x = x_BCHW.to(self._device).float()
        x = (x - self._weights["scaling_layer.shift"]) / self._weights["scaling_layer.scale"]
        x = F.relu(self._blur(self._convolve(x, "slice1.0", padding=2), "slice1.1"))
        yield x
        x = F.relu(self._convolve(self._blur(F.max_pool2d(x, 3, 1), "slice2.4"), "slice2.5", padding=2))
        yield x
        x = F.relu(self._convolve(self._blur(F.max_pool2d(x, 3, 1), "slice3.8"), "slice3.9", padding=1))
        yield x
        for name in ("slice4.11", "slice5.13"):
            x = F.relu(self._convolve(x, name, padding=1))
            yield x

    def _convolve(self, x_BCHW: Tensor, name: str, padding: int) -> Tensor:
        return F.conv2d(x_BCHW, self._weights[f"{name}.weight"], self._weights[f"{name}.bias"], padding=padding)

    def _blur(self, x_BCHW: Tensor, name: str) -> Tensor:
        """Halve the size by a blur per channel."""
        padded_BCHW = F.pad(x_BCHW, (2, 2, 2, 2), mode="reflect")
        return F.conv2d(padded_BCHW, self._weights[f"{name}.filt"], stride=2, groups=x_BCHW.shape[1])


def find_weights() -> Path:
    """Find the installed package's weights, without importing it: it needs torchvision and more."""
    package = importlib.util.find_spec("stlpips_pytorch")
    if package is None or package.origin is None:
        raise InputError("the package stlpips-pytorch", "none", "pip install 'latentcrf[perceptual]'")
    return Path(package.origin).parent / WEIGHTS
