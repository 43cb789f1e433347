"""The families of teachers: how each encodes prompts and calls its network.

The class of a teacher's diffusers pipeline determines its family. The pipeline's own ``encode_prompt`` encodes the
prompts. n: images per prompt.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from crf.errors import TeacherError

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Condition:
    """Encoded prompts, for the teacher's network and the CRF.

    Args:
        inputs: The network's inputs besides state and timestep. With guidance they have 2B rows, the B rows without
            the caption first.
        pooled_BD: The pooled text (B, D) that conditions the CRF. It is the pooled text that the network takes, or
            the mean of its text states if it takes none.
        guidance_scale: Scale of classifier-free guidance; 1 or less for none.
    """

    inputs: dict[str, Tensor]
    pooled_BD: Tensor
    guidance_scale: float

    @property
    def is_guided(self) -> bool:
        """Whether guidance is on, so that the network also runs without the caption."""
        return self.guidance_scale > 1


class Family(Protocol):
    """The interface of a family of teachers."""

    network: Any
    """The denoiser: a U-Net or a transformer."""
    upcasts_vae: bool
    """Whether a float16 VAE decodes in float32 if its config has ``force_upcast``, because it would overflow."""

    def __init__(self, pipeline: Any) -> None: ...

    def condition(self, prompts: list[str], guidance_scale: float, negatives: list[str] | None, n: int) -> Condition:
        """Encode B prompts, and B negative prompts if given, as B * n rows."""

    def evaluate(self, z_BCHW: Tensor, timestep: float, inputs: dict[str, Tensor]) -> Tensor:
        """Run the network once; returns its output (B, C, H, W)."""


class StableDiffusion:
    """SD 1.x and 2.x: a U-Net that attends to the states of one text encoder."""

    upcasts_vae = False

    def __init__(self, pipeline: Any) -> None:
        self.pipeline, self.network = pipeline, pipeline.unet

    def condition(self, prompts: list[str], guidance_scale: float, negatives: list[str] | None, n: int) -> Condition:
        device = self.pipeline._execution_device
        states_BLD, without_BLD = self.pipeline.encode_prompt(prompts, device, n, guidance_scale > 1, negatives)
        inputs = {"encoder_hidden_states": stack_for_guidance(without_BLD, states_BLD)}
        return Condition(inputs, self._average_tokens(prompts, states_BLD, n), guidance_scale)

    def _average_tokens(self, prompts: list[str], states_BLD: Tensor, n: int) -> Tensor:
        """Average the text states (B * n, D), without padding: this network takes no pooled text."""
        tokenizer = self.pipeline.tokenizer
        length = tokenizer.model_max_length
        tokens = tokenizer(prompts, padding="max_length", truncation=True, max_length=length, return_tensors="pt")
        mask_BL1 = tokens.attention_mask.repeat_interleave(n, 0)[..., None].to(states_BLD)
        mean_BD: Tensor = (states_BLD * mask_BL1).sum(1) / mask_BL1.sum(1)
        return mean_BD

    def evaluate(self, z_BCHW: Tensor, timestep: float, inputs: dict[str, Tensor]) -> Tensor:
        output_BCHW: Tensor = self.network(z_BCHW, make_scalar(timestep), return_dict=False, **inputs)[0]
        return output_BCHW


class StableDiffusionXL:
    """SDXL: the states of two text encoders side by side, the pooled text of the second, and the image's size."""

    upcasts_vae = True

    def __init__(self, pipeline: Any) -> None:
        self.pipeline, self.network = pipeline, pipeline.unet

    def condition(self, prompts: list[str], guidance_scale: float, negatives: list[str] | None, n: int) -> Condition:
        return encode_with_summary(self.pipeline, "text_embeds", prompts, guidance_scale, negatives, n)

    def evaluate(self, z_BCHW: Tensor, timestep: float, inputs: dict[str, Tensor]) -> Tensor:
        import torch

        text_BLD, summary_BD = inputs["encoder_hidden_states"], inputs["text_embeds"]
        height, width = (side * self.pipeline.vae_scale_factor for side in z_BCHW.shape[2:])
        # Original size, crop and target size (Podell et al. 2023, section 2.2): the whole image, at this size.
        sizes_6 = torch.tensor([height, width, 0, 0, height, width], dtype=text_BLD.dtype, device=z_BCHW.device)
        added = {"text_embeds": summary_BD, "time_ids": sizes_6.repeat(len(z_BCHW), 1)}
        at = make_scalar(timestep)
        output_BCHW: Tensor = self.network(z_BCHW, at, text_BLD, added_cond_kwargs=added, return_dict=False)[0]
        return output_BCHW


class StableDiffusion3:
    """SD 3.x: a transformer over the states of two CLIPs and an optional T5, and the pooled text of both CLIPs."""

    upcasts_vae = False

    def __init__(self, pipeline: Any) -> None:
        self.pipeline, self.network = pipeline, pipeline.transformer

    def condition(self, prompts: list[str], guidance_scale: float, negatives: list[str] | None, n: int) -> Condition:
        same = {"prompt_2": None, "prompt_3": None}  # every encoder takes the same prompt
        return encode_with_summary(self.pipeline, "pooled_projections", prompts, guidance_scale, negatives, n, **same)

    def evaluate(self, z_BCHW: Tensor, timestep: float, inputs: dict[str, Tensor]) -> Tensor:
        import torch

        timestep_B = torch.full((len(z_BCHW),), timestep, device=z_BCHW.device)
        output_BCHW: Tensor = self.network(z_BCHW, timestep=timestep_B, return_dict=False, **inputs)[0]
        return output_BCHW


# The supported families, by class of pipeline. The classes import torch on use, so that planning can read this table.
FAMILIES: dict[str, type[Family]] = {
    "StableDiffusionPipeline": StableDiffusion,
    "StableDiffusionXLPipeline": StableDiffusionXL,
    "StableDiffusion3Pipeline": StableDiffusion3,
}


def encode_with_summary(
    pipeline: Any,
    summary: str,
    prompts: list[str],
    guidance_scale: float,
    negatives: list[str] | None,
    n: int,
    **more: Any,
) -> Condition:
    """Encode prompts by a pipeline that also pools them. The network takes the pooled text as input ``summary``."""
    states_BLD, without_BLD, pooled_BD, without_BD = pipeline.encode_prompt(
        prompts,
        device=pipeline._execution_device,
        num_images_per_prompt=n,
        do_classifier_free_guidance=guidance_scale > 1,
        negative_prompt=negatives,
        **more,
    )
    inputs = {
        "encoder_hidden_states": stack_for_guidance(without_BLD, states_BLD),
        summary: stack_for_guidance(without_BD, pooled_BD),
    }
    return Condition(inputs, pooled_BD, guidance_scale)


def make_scalar(timestep: float) -> Tensor:
    """Return a timestep as a scalar tensor on the CPU: torch.compile would compile anew for each Python number."""
    import torch

    return torch.tensor(timestep)


def stack_for_guidance(without: Tensor | None, with_caption: Tensor) -> Tensor:
    """Stack the rows of a guided evaluation, those without the caption first. ``without`` is None without guidance."""
    import torch

    return with_caption if without is None else torch.cat([without, with_caption])


def find_family(pipeline: type) -> str:
    """Name the family of a pipeline's class, or of its bases. Raises TeacherError if none is supported."""
    names = [base.__name__ for base in pipeline.__mro__]
    for name in FAMILIES:
        if name in names:
            return name
    raise TeacherError(f"a teacher of {', '.join(FAMILIES)}", names[0], "load it as one of these")
