"""Teachers with random weights, of the sizes of SD 1.5 and SDXL, and a small one. What they compute is noise."""

from collections.abc import Callable
from typing import Any

import torch
from diffusers import AutoencoderKL, StableDiffusionPipeline, StableDiffusionXLPipeline, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from tests.support.teachers import TEXT_WIDTH, clip_tokenizer, ddim, tiny_pipeline

TOKENS = 77


def make_text_config(width: int, layers: int, projection: int) -> CLIPTextConfig:
    tokenizer = clip_tokenizer()
    return CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=width,
        intermediate_size=4 * width,
        num_hidden_layers=layers,
        num_attention_heads=width // 64,
        projection_dim=projection,
        max_position_embeddings=TOKENS,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )


def make_tokenizer() -> Any:
    tokenizer = clip_tokenizer()
    tokenizer.model_max_length = TOKENS
    return tokenizer


def make_vae(size: int, scaling_factor: float, force_upcast: bool, width: int = 128) -> AutoencoderKL:
    return AutoencoderKL(
        latent_channels=4,
        sample_size=size,
        block_out_channels=(width, 2 * width, 4 * width, 4 * width),
        layers_per_block=2,
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        scaling_factor=scaling_factor,
        force_upcast=force_upcast,
    )


def make_sd() -> StableDiffusionPipeline:
    """Make a teacher of the size of Stable Diffusion 1.5: 512 px, a U-Net of 860 million weights."""
    torch.manual_seed(0)
    return StableDiffusionPipeline(
        tokenizer=make_tokenizer(),
        text_encoder=CLIPTextModel(make_text_config(768, 12, 768)),
        unet=UNet2DConditionModel(sample_size=64, cross_attention_dim=768),
        vae=make_vae(512, 0.18215, force_upcast=False),
        scheduler=ddim("epsilon"),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def make_sdxl() -> StableDiffusionXLPipeline:
    """Make a teacher of the size of SDXL: 1024 px, a U-Net of 2.6 billion weights."""
    torch.manual_seed(0)
    return StableDiffusionXLPipeline(
        tokenizer=make_tokenizer(),
        tokenizer_2=make_tokenizer(),
        text_encoder=CLIPTextModel(make_text_config(768, 12, 768)),
        text_encoder_2=CLIPTextModelWithProjection(make_text_config(1280, 32, 1280)),
        unet=UNet2DConditionModel(
            sample_size=128,
            block_out_channels=(320, 640, 1280),
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
            transformer_layers_per_block=(1, 2, 10),
            attention_head_dim=(5, 10, 20),
            cross_attention_dim=2048,
            use_linear_projection=True,
            addition_embed_type="text_time",
            addition_time_embed_dim=256,
            projection_class_embeddings_input_dim=2816,
        ),
        vae=make_vae(1024, 0.13025, force_upcast=True),
        scheduler=ddim("epsilon"),
        add_watermarker=False,
    )


def make_small() -> StableDiffusionPipeline:
    """Make a teacher for CPUs: 128 px, a VAE half as wide as SD's. A core computes for seconds on 16 rows."""
    pipeline = tiny_pipeline(16)
    unet = UNet2DConditionModel(
        sample_size=16,
        in_channels=4,
        out_channels=4,
        layers_per_block=1,
        block_out_channels=(64, 128),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        attention_head_dim=8,
        cross_attention_dim=TEXT_WIDTH,
    )
    pipeline.register_modules(unet=unet, vae=make_vae(128, 0.18215, force_upcast=False, width=64))
    return pipeline


SIZES: dict[str, Callable[[], Any]] = {"sd": make_sd, "sdxl": make_sdxl}
