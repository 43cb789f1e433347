"""Sample with every method from the same noise."""

from collections.abc import Iterable

import torch
from torch import Tensor

from crf.evaluation.methods import Method
from crf.model.latent_crf import LatentCRF
from crf.sampling.sampler import run_schedules
from crf.teacher.teacher import Teacher


@torch.no_grad()
def compare(
    teacher: Teacher,
    crf: LatentCRF | None,
    captions: list[str],
    noise_BCHW: Tensor,
    guidance_scale: float,
    methods: Iterable[Method],
) -> dict[str, Tensor]:
    """Sample with each method from the same noise. Methods with the same lead share its evaluations.

    Args:
        teacher: The teacher.
        crf: A CRF for this teacher, if a method needs one.
        captions: B captions.
        noise_BCHW: Initial noise, (B, C, H, W).
        guidance_scale: Scale of classifier-free guidance; 1 or less for none.
        methods: The methods to compare.

    Returns:
        Final latents (B, C, H, W) by the method's key.
    """
    given = teacher.condition(captions, guidance_scale)
    methods = list(methods)
    ends = run_schedules(teacher, [method.schedule for method in methods], noise_BCHW, given, crf)
    return dict(zip([method.key for method in methods], ends, strict=True))
