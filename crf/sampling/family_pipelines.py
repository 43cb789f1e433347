"""One LatentCRF pipeline per family: the family's own diffusers pipeline with a CRF as one more component.

diffusers reads a pipeline's components from the arguments of its constructor, so each family needs its own.
Importing this module registers the pipelines, so import ``LatentCRFPipeline`` from here.
"""

from typing import Any, ClassVar

from diffusers import StableDiffusion3Pipeline, StableDiffusionPipeline, StableDiffusionXLPipeline

from crf.model.latent_crf import LatentCRF
from crf.sampling.pipeline import LatentCRFPipeline

__all__ = ["LatentCRFPipeline"]


class StableDiffusionLatentCRFPipeline(LatentCRFPipeline, StableDiffusionPipeline):  # type: ignore[misc]
    """The pipeline for SD 1.x and 2.x."""

    model_cpu_offload_seq = "text_encoder->unet->crf->vae"
    _exclude_from_cpu_offload: ClassVar = ["safety_checker", "crf"]
    _optional_components: ClassVar = ["safety_checker", "feature_extractor", "image_encoder", "crf"]

    def __init__(
        self,
        vae: Any,
        text_encoder: Any,
        tokenizer: Any,
        unet: Any,
        scheduler: Any,
        safety_checker: Any = None,
        feature_extractor: Any = None,
        image_encoder: Any = None,
        requires_safety_checker: bool = False,
        crf: LatentCRF | None = None,
        schedule: str | None = None,
        front: str | None = None,
    ) -> None:
        super().__init__(
            vae,
            text_encoder,
            tokenizer,
            unet,
            scheduler,
            safety_checker,
            feature_extractor,
            image_encoder,
            requires_safety_checker,
        )
        self._add_crf(crf, schedule, front)


class StableDiffusionXLLatentCRFPipeline(LatentCRFPipeline, StableDiffusionXLPipeline):  # type: ignore[misc]
    """The pipeline for SDXL."""

    model_cpu_offload_seq = "text_encoder->text_encoder_2->unet->crf->vae"
    _optional_components: ClassVar = [*StableDiffusionXLPipeline._optional_components, "crf"]

    def __init__(
        self,
        vae: Any,
        text_encoder: Any,
        text_encoder_2: Any,
        tokenizer: Any,
        tokenizer_2: Any,
        unet: Any,
        scheduler: Any,
        image_encoder: Any = None,
        feature_extractor: Any = None,
        force_zeros_for_empty_prompt: bool = True,
        crf: LatentCRF | None = None,
        schedule: str | None = None,
        front: str | None = None,
    ) -> None:
        super().__init__(
            vae,
            text_encoder,
            text_encoder_2,
            tokenizer,
            tokenizer_2,
            unet,
            scheduler,
            image_encoder,
            feature_extractor,
            force_zeros_for_empty_prompt,
            add_watermarker=False,
        )
        self._add_crf(crf, schedule, front)


class StableDiffusion3LatentCRFPipeline(LatentCRFPipeline, StableDiffusion3Pipeline):  # type: ignore[misc]
    """The pipeline for SD 3.x."""

    model_cpu_offload_seq = "text_encoder->text_encoder_2->text_encoder_3->transformer->crf->vae"
    _optional_components: ClassVar = ["image_encoder", "feature_extractor", "text_encoder_3", "tokenizer_3", "crf"]

    def __init__(
        self,
        transformer: Any,
        scheduler: Any,
        vae: Any,
        text_encoder: Any,
        tokenizer: Any,
        text_encoder_2: Any,
        tokenizer_2: Any,
        text_encoder_3: Any = None,
        tokenizer_3: Any = None,
        image_encoder: Any = None,
        feature_extractor: Any = None,
        crf: LatentCRF | None = None,
        schedule: str | None = None,
        front: str | None = None,
    ) -> None:
        super().__init__(
            transformer,
            scheduler,
            vae,
            text_encoder,
            tokenizer,
            text_encoder_2,
            tokenizer_2,
            text_encoder_3,
            tokenizer_3,
            image_encoder,
            feature_extractor,
        )
        self._add_crf(crf, schedule, front)
