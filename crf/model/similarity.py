"""Learned similarities k_ij of two locations, per head. The messages are m_i = sum over j != i of k_ij x_j.

``prepare`` computes, once per inference, what all iterations share. Both forms are initialized as Gaussians of the
distance, each head's wider than the one before. h: heads, N = H*W.
"""

import torch
from torch import Tensor, nn

from crf.model.config import LatentCRFConfig


class DenseSimilarity(nn.Module):
    """A learned table k_hNN with a zero diagonal. Before training, each row sums to one."""

    def __init__(self, config: LatentCRFConfig) -> None:
        super().__init__()
        self.k_hNN = nn.Parameter(make_gaussian_table(config))

    def prepare(self) -> Tensor:
        """Return the table (h, N, N). Without gradients it is not copied: a copy would take as long as a read."""
        return self.table() if torch.is_grad_enabled() else self.k_hNN

    def forward(self, x_BCHW: Tensor, prepared: Tensor) -> Tensor:
        """Compute the messages (B, h, C, H, W)."""
        message_BhCN = torch.einsum("hnm,bcm->bhcn", prepared, x_BCHW.flatten(2))
        return message_BhCN.reshape(*message_BhCN.shape[:3], *x_BCHW.shape[2:])

    def table(self) -> Tensor:
        """Return k (h, N, N). Its diagonal receives no gradient, so it stays zero."""
        own_NN = torch.eye(self.k_hNN.shape[1], dtype=torch.bool, device=self.k_hNN.device)
        return self.k_hNN.masked_fill(own_NN, 0)


class StationarySimilarity(nn.Module):
    """A learned function of the offset, k_ij = g(i - j), convolved by FFT in float32.

    ``kernel_hYX[h, dy, dx]`` is g at the offset (dy, dx) modulo (2H, 2W). This size holds every offset of two
    locations, so the circular convolution does not wrap around.
    """

    def __init__(self, config: LatentCRFConfig) -> None:
        super().__init__()
        self.height, self.width = config.height, config.width
        dy, dx = (wrap_offsets(side).float() for side in (config.height, config.width))
        kernel_hYX = compute_gaussians(dy[:, None].square() + dx[None, :].square(), config)
        of_others_h11 = kernel_hYX.sum((1, 2), keepdim=True) - kernel_hYX[:, :1, :1]
        self.kernel_hYX = nn.Parameter(kernel_hYX / of_others_h11)

    def prepare(self) -> Tensor:
        """Compute the kernel's spectrum, in float32 or more: there is no FFT in half precision."""
        kernel_hYX = self._without_self()
        spectrum: Tensor = torch.fft.rfft2(kernel_hYX.to(torch.promote_types(kernel_hYX.dtype, torch.float32)))
        return spectrum

    def forward(self, x_BCHW: Tensor, prepared: Tensor) -> Tensor:
        """Compute the messages (B, h, C, H, W)."""
        places = self.kernel_hYX.shape[1:]
        field = torch.fft.rfft2(x_BCHW.to(prepared.real.dtype), s=places)
        message: Tensor = torch.fft.irfft2(field[:, None] * prepared[:, None], s=places)
        return message[..., : self.height, : self.width].to(x_BCHW.dtype)

    def table(self) -> Tensor:
        """Return k (h, N, N), with a zero diagonal. Its size is quadratic in N, so use it with small latents only."""
        ys, xs = torch.meshgrid(torch.arange(self.height), torch.arange(self.width), indexing="ij")
        dy = ys.flatten()[:, None] - ys.flatten()[None]
        dx = xs.flatten()[:, None] - xs.flatten()[None]
        return self._without_self()[:, dy, dx]

    def _without_self(self) -> Tensor:
        kernel_hYX = self.kernel_hYX.clone()
        kernel_hYX[:, 0, 0] = 0
        return kernel_hYX


Similarity = DenseSimilarity | StationarySimilarity


def make_similarity(config: LatentCRFConfig) -> Similarity:
    """Make the form of similarity that the config names."""
    return DenseSimilarity(config) if config.similarity == "dense" else StationarySimilarity(config)


def compute_gaussians(squared_distance: Tensor, config: LatentCRFConfig) -> Tensor:
    """Evaluate each head's initial Gaussian: squared distances (...) -> (heads, ...)."""
    widths = [config.similarity_width * config.similarity_growth**head for head in range(config.heads)]
    return torch.stack([torch.exp(-squared_distance / (2 * width**2)) for width in widths])


def make_gaussian_table(config: LatentCRFConfig) -> Tensor:
    """Make Gaussian similarities (heads, N, N), with a zero diagonal and rows that sum to one."""
    ys, xs = torch.meshgrid(torch.arange(config.height), torch.arange(config.width), indexing="ij")
    places_N2 = torch.stack([ys, xs], -1).reshape(-1, 2).float()
    weights_hNN = compute_gaussians((places_N2[:, None] - places_N2[None]).square().sum(-1), config)
    weights_hNN = weights_hNN * (1 - torch.eye(len(places_N2)))
    return weights_hNN / weights_hNN.sum(-1, keepdim=True)


def wrap_offsets(side: int) -> Tensor:
    """Return the offsets in FFT order: [0, 1, ..., side - 1, -side, ..., -1]."""
    return torch.cat([torch.arange(side), torch.arange(-side, 0)])
