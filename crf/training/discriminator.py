"""The latent discriminator and its losses (paper, section 3.4.2 and appendix D)."""

from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm


class Discriminator(nn.Sequential):
    """Classifies latents (B, C, H, W) as real or inferred, with one logit per location (B, 1, H, W).

    It has three spectral-norm convolutions (64, 64, 128 channels) with batch-norm.
    """

    def __init__(self, channels: int) -> None:
        layers: list[nn.Module] = []
        for width_in, width_out in ((channels, 64), (64, 64), (64, 128)):
            convolution = spectral_norm(nn.Conv2d(width_in, width_out, 3, padding=1))
            layers += [convolution, nn.BatchNorm2d(width_out), nn.LeakyReLU(0.2)]
        super().__init__(*layers, nn.Conv2d(128, 1, 1))


def compute_generator_loss(fake_logits: Tensor) -> Tensor:
    """Compute the CRF's adversarial loss: non-saturating sigmoid cross-entropy (eq. 13)."""
    return F.softplus(-fake_logits).mean()


def compute_discriminator_loss(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """Compute the discriminator's loss (eq. 14)."""
    return F.softplus(-real_logits).mean() + F.softplus(fake_logits).mean()
