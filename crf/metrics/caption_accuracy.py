"""The teacher's own caption test: which of some captions denoises an image best (Li et al. 2023, Diffusion Classifier).

The teacher judges its own images, so this is a guard against latents that lost their caption, not a rank of methods.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from crf.metrics.moments import Array
from crf.noise import derive_seed, sample_noise
from crf.teacher.teacher import Teacher

TIMESTEPS = (301, 501, 701)


@torch.no_grad()
def compute_caption_errors(
    teacher: Teacher, latents_BCHW: Tensor, captions: Sequence[str], seeds: Sequence[int]
) -> Array:
    """Compute how well the teacher predicts the noise in each sample with each caption.

    The noise is not the one that a sample was made from, but depends on its seed alone. So a sample's errors do not
    depend on the other samples, up to the last bits. One sample takes 3 evaluations per caption.

    Args:
        teacher: The teacher.
        latents_BCHW: Generated latents, (B, C, H, W).
        captions: K captions.
        seeds: The seed of each sample.

    Returns:
        The squared error of the noise, averaged over timesteps and elements, (B, K).
    """
    latents_BCHW = latents_BCHW.to(teacher.device)
    _, channels, height, width = latents_BCHW.shape
    conditions = [teacher.condition([caption], guidance_scale=1, images_each=len(latents_BCHW)) for caption in captions]
    errors_BK = np.zeros((len(latents_BCHW), len(captions)))
    for timestep in TIMESTEPS:
        derived = [derive_seed(int(seed), f"caption test at {timestep}") for seed in seeds]
        eps_BCHW = sample_noise(derived, (channels, height, width)).to(latents_BCHW)
        z_BCHW = teacher.noise_schedule.add_noise(latents_BCHW, eps_BCHW, timestep)
        for number, given in enumerate(conditions):
            output_BCHW = teacher.guided_output(z_BCHW, timestep, given)
            _, predicted_BCHW = teacher.noise_schedule.split(output_BCHW, z_BCHW, timestep)
            squared_B = (predicted_BCHW - eps_BCHW).double().square().mean((1, 2, 3))
            errors_BK[:, number] += squared_B.cpu().numpy() / len(TIMESTEPS)
    return errors_BK


def find_recognised(errors_BK: Array, own_B: Array) -> Array:
    """Return whether each sample's own caption has the least error, bool (B,). Their mean is the caption accuracy.

    ``own_B`` holds the number of each sample's caption among the K.
    """
    own_errors_B = errors_BK[np.arange(len(errors_BK)), own_B]
    return np.asarray(own_errors_B <= errors_BK.min(1))
