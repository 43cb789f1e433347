"""Train the demo teacher's VAE on the demo's drawings (two CPU cores suffice).

    python deploy/demo/train_vae.py --minutes 20 --out deploy/demo/teacher/vae

Factor 8, 8 latent channels: 128 px -> 16x16x8. The first part of the time goes to half-size
drawings, which cost a quarter. After training, each latent channel's mean and scale are folded
into the 1x1 convolutions around the latent, so that ``scaling_factor`` is 1 and a white
background is no outlier.
"""

import argparse
import copy
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import torch
from diffusers import AutoencoderKL
from PIL import Image
from timed_training import train_for
from torch import Tensor, nn
from torch.nn import functional as F

HERE = Path(__file__).parent
BATCH, PEAK_LR, EMA_DECAY = 16, 1e-3, 0.995
KL_WEIGHT, EDGE_WEIGHT, HALF_SIZE_SHARE = 2e-4, 1.0, 0.35


def load_images(split: str) -> Tensor:
    """-> (N, 3, 128, 128) uint8."""
    encoded = pq.read_table(HERE / f"images/{split}.parquet", columns=["image"])["image"].to_pylist()
    return torch.stack([torch.from_numpy(np.array(Image.open(io.BytesIO(data)))).permute(2, 0, 1) for data in encoded])


def new_vae() -> AutoencoderKL:
    return AutoencoderKL(
        in_channels=3,
        out_channels=3,
        latent_channels=8,
        sample_size=128,
        block_out_channels=(16, 32, 64, 128),
        layers_per_block=1,
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        norm_num_groups=8,
        mid_block_add_attention=False,
        scaling_factor=1.0,
    )


def edges(x_BCHW: Tensor) -> tuple[Tensor, Tensor]:
    return x_BCHW[..., 1:, :] - x_BCHW[..., :-1, :], x_BCHW[..., 1:] - x_BCHW[..., :-1]


def loss_of(vae: AutoencoderKL, x_BCHW: Tensor) -> Tensor:
    """L1 + squared error + L1 of the edges + KL, each a mean per element.

    The squared error is there for the start: L1 alone settles on the median, an empty page.
    """
    posterior = vae.encode(x_BCHW).latent_dist
    mean, logvar = posterior.mean.float(), posterior.logvar.float()
    z_BCHW = mean + torch.exp(0.5 * logvar) * torch.randn_like(mean)
    recon_BCHW, x_BCHW = vae.decode(z_BCHW.bfloat16()).sample.float(), x_BCHW.float()
    error = F.l1_loss(recon_BCHW, x_BCHW) + 2 * F.mse_loss(recon_BCHW, x_BCHW)
    edge = torch.stack([F.l1_loss(a, b) for a, b in zip(edges(recon_BCHW), edges(x_BCHW), strict=True)]).mean()
    kl = 0.5 * (mean.square() + logvar.exp() - 1 - logvar).mean()
    return error + EDGE_WEIGHT * edge + KL_WEIGHT * kl


@torch.no_grad()
def whiten(vae: AutoencoderKL, images_NCHW: Tensor) -> None:
    """Fold the latents' mean and scale into the convolutions around them, in place."""
    batches = images_NCHW[:1024].split(64)
    z_NCHW = torch.cat([vae.encode(batch.float() / 127.5 - 1).latent_dist.mean for batch in batches])
    mean_C, std_C = z_NCHW.mean((0, 2, 3)), z_NCHW.std((0, 2, 3))
    quant, post = vae.quant_conv, vae.post_quant_conv
    shift_C, log_std_C = torch.cat([mean_C, torch.zeros(8)]), torch.cat([torch.zeros(8), std_C.log()])
    scale_C = torch.cat([std_C, torch.ones(8)])
    quant.weight.div_(scale_C[:, None, None, None])
    quant.bias.sub_(shift_C).div_(scale_C).sub_(2 * log_std_C)
    post.bias.add_(torch.einsum("oi,i->o", post.weight[:, :, 0, 0], mean_C))
    post.weight.mul_(std_C[None, :, None, None])


def loss_function(images_NCHW: Tensor) -> Callable[[nn.Module], Callable[[float], Tensor]]:
    def loss_on(fast: nn.Module) -> Callable[[float], Tensor]:
        def batch_loss(progress: float) -> Tensor:
            x_BCHW = images_NCHW[torch.randint(len(images_NCHW), (BATCH,))].float() / 127.5 - 1
            if torch.rand(()) < 0.5:
                x_BCHW = x_BCHW.flip(-1)
            if progress < HALF_SIZE_SHARE:
                x_BCHW = F.avg_pool2d(x_BCHW, 2)
            return loss_of(fast, x_BCHW.bfloat16().contiguous(memory_format=torch.channels_last))

        return batch_loss

    return loss_on


@torch.no_grad()
def heldout_psnr(vae: AutoencoderKL) -> float:
    """Decibels, over the held-out drawings, from the posterior's mean."""
    x_NCHW = load_images("heldout").float() / 127.5 - 1
    recon_NCHW = torch.cat([vae.decode(vae.encode(x).latent_dist.mode()).sample for x in x_NCHW.split(32)])
    return float(-10 * torch.log10((recon_NCHW.clamp(-1, 1) - x_NCHW).square().mean() / 4))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--out", type=Path, default=HERE / "teacher/vae")
    args = parser.parse_args()
    torch.manual_seed(0)
    images_NCHW, vae = load_images("train"), new_vae()

    def save(average: nn.Module) -> None:
        finished = copy.deepcopy(average)
        whiten(finished, images_NCHW)
        print(f"held-out PSNR: {heldout_psnr(finished):.2f} dB", flush=True)
        finished.half().save_pretrained(args.out)

    train_for(
        args.minutes,
        vae,
        loss_function(images_NCHW),
        peak_lr=PEAK_LR,
        ema_decay=EMA_DECAY,
        save=save,
        save_every_minutes=5,
    )


if __name__ == "__main__":
    main()
