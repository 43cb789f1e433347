"""Tiny teachers with random weights, one of each family, in diffusers' own classes.

Their VAEs reduce 8 pixels to 1, with 8 latent channels: ``latent_side=64`` is the paper's 512 px -> 64x64x8.
"""

from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    DiffusionPipeline,
    FlowMatchEulerDiscreteScheduler,
    SD3Transformer2DModel,
    StableDiffusion3Pipeline,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
    T5Config,
    T5EncoderModel,
    T5Tokenizer,
)

TEXT_WIDTH = 16
PROJECTION = 12
LETTERS = [chr(ordinal) for ordinal in range(33, 127)]


def tiny_pipeline(latent_side: int, prediction_type: str = "epsilon") -> StableDiffusionPipeline:
    """Make a teacher like Stable Diffusion 1.x and 2.x."""
    torch.manual_seed(0)
    return StableDiffusionPipeline(
        tokenizer=clip_tokenizer(),
        text_encoder=CLIPTextModel(clip_config()),
        unet=unet(latent_side, cross_attention_dim=TEXT_WIDTH),
        vae=vae(latent_side),
        scheduler=ddim(prediction_type),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def tiny_xl_pipeline(latent_side: int) -> StableDiffusionXLPipeline:
    """Make a teacher like SDXL, whose pooled text is the second encoder's projection."""
    torch.manual_seed(0)
    return StableDiffusionXLPipeline(
        tokenizer=clip_tokenizer(),
        tokenizer_2=clip_tokenizer(),
        text_encoder=CLIPTextModel(clip_config()),
        text_encoder_2=CLIPTextModelWithProjection(clip_config()),
        unet=unet(
            latent_side,
            cross_attention_dim=2 * TEXT_WIDTH,
            addition_embed_type="text_time",
            addition_time_embed_dim=4,
            projection_class_embeddings_input_dim=PROJECTION + 6 * 4,
        ),
        vae=vae(latent_side),
        scheduler=ddim("epsilon"),
        add_watermarker=False,
    )


def tiny_sd3_pipeline(latent_side: int, t5: bool = True) -> StableDiffusion3Pipeline:
    """Make a teacher like SD 3.x, whose pooled text is both CLIP encoders' projections, concatenated."""
    torch.manual_seed(0)
    return StableDiffusion3Pipeline(
        tokenizer=clip_tokenizer(),
        tokenizer_2=clip_tokenizer(),
        tokenizer_3=t5_tokenizer() if t5 else None,
        text_encoder=CLIPTextModelWithProjection(clip_config()),
        text_encoder_2=CLIPTextModelWithProjection(clip_config()),
        text_encoder_3=t5_encoder() if t5 else None,
        transformer=SD3Transformer2DModel(
            sample_size=latent_side,
            patch_size=2,
            in_channels=8,
            out_channels=8,
            num_layers=1,
            attention_head_dim=8,
            num_attention_heads=2,
            joint_attention_dim=2 * TEXT_WIDTH,
            caption_projection_dim=16,
            pooled_projection_dim=2 * PROJECTION,
            pos_embed_max_size=8,
        ),
        vae=vae(latent_side, shift_factor=0.25),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
    )


def clip_tokenizer() -> CLIPTokenizer:
    vocab = {token: number for number, token in enumerate([*LETTERS, *(f"{c}</w>" for c in LETTERS)])}
    vocab |= {"<|startoftext|>": len(vocab), "<|endoftext|>": len(vocab) + 1}
    return CLIPTokenizer(vocab=vocab, merges=[], model_max_length=16)


def clip_config() -> CLIPTextConfig:
    tokenizer = clip_tokenizer()
    return CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=TEXT_WIDTH,
        projection_dim=PROJECTION,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=16,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )


def t5_tokenizer() -> T5Tokenizer:
    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -2.0), *((letter, -3.0) for letter in LETTERS[1:])]
    return T5Tokenizer(vocab=pieces, extra_ids=0)


def t5_encoder() -> T5EncoderModel:
    config = T5Config(vocab_size=128, d_model=2 * TEXT_WIDTH, d_kv=8, d_ff=32, num_layers=1, num_heads=2)
    return T5EncoderModel(config).eval()  # a new model starts with its dropout on


def unet(latent_side: int, **conditions: Any) -> UNet2DConditionModel:
    return UNet2DConditionModel(
        sample_size=latent_side,
        in_channels=8,
        out_channels=8,
        layers_per_block=1,
        block_out_channels=(8, 8),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        attention_head_dim=2,
        norm_num_groups=4,
        **conditions,
    )


def vae(latent_side: int, shift_factor: float | None = None) -> AutoencoderKL:
    return AutoencoderKL(
        latent_channels=8,
        sample_size=latent_side * 8,
        block_out_channels=(4, 4, 4, 4),
        layers_per_block=1,
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        norm_num_groups=2,
        mid_block_add_attention=False,
        scaling_factor=0.5,
        shift_factor=shift_factor,
    )


def ddim(prediction_type: str) -> DDIMScheduler:
    return DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
        prediction_type=prediction_type,
    )


# Family -> makes a teacher for 32 px: 4x4x8 latents.
TINY = {
    "sd": lambda: tiny_pipeline(4),
    "sd_v": lambda: tiny_pipeline(4, "v_prediction"),
    "sdxl": lambda: tiny_xl_pipeline(4),
    "sd3": lambda: tiny_sd3_pipeline(4),
    "sd3_without_t5": lambda: tiny_sd3_pipeline(4, t5=False),
}


def save_tiny_teacher(folder: Path, latent_side: int = 4, prediction_type: str = "epsilon") -> Path:
    return save_pipeline(tiny_pipeline(latent_side, prediction_type), folder)


def save_pipeline(pipeline: DiffusionPipeline, folder: Path) -> Path:
    pipeline.save_pretrained(folder)
    return folder
