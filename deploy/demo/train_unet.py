"""Train the demo teacher's tokenizer, text encoder and U-Net on the VAE's latents.

    python deploy/demo/train_unet.py --minutes 80 --teacher deploy/demo/teacher

Reads ``teacher/vae``; writes a folder that ``StableDiffusionPipeline.from_pretrained`` loads.
v-prediction on Stable Diffusion's noise schedule; captions are dropped one time in ten, for
classifier-free guidance, and shortened at random, so that "a red apple" is as familiar as the
full list of keywords.
"""

import argparse
import copy
import json
import random
import re
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import torch
from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor
from timed_training import train_for
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from torch import Tensor, nn
from train_vae import load_images
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

HERE = Path(__file__).parent
BATCH, PEAK_LR, EMA_DECAY, CAPTION_DROPOUT, TOKENS, WIDTH = 32, 8e-4, 0.999, 0.1, 24, 192
# How often a drawing is shown: so little training learns plain objects in one style best, so these come most.
WEIGHTS = (
    (r"openclipart/", 0.15),
    (r"flag|person|people|family|gesture|hand|body|\bm[ae]n\b|\bwom[ae]n\b", 0.4),
    (r"symbol|sign|alphanum|geometric|arrow|keycap|zodiac|punctuation|math|gender|clock", 0.1),
    (r"food|drink|animal|plant|transport|sport|musical instrument|place building|heart|clothing|red car", 6.0),
    (r"", 1.0),
)


class TextToLatent(nn.Module):
    """What is trained together."""

    def __init__(self, text_encoder: CLIPTextModel, unet: UNet2DConditionModel) -> None:
        super().__init__()
        self.text_encoder, self.unet = text_encoder, unet


def new_tokenizer(captions: list[str]) -> CLIPTokenizer:
    """Byte-pair encoding in CLIP's format, learnt from the captions."""
    backend = CLIPTokenizer().backend_tokenizer
    bpe = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    bpe.normalizer, bpe.pre_tokenizer = backend.normalizer, backend.pre_tokenizer
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    bpe.train_from_iterator(
        captions,
        trainers.BpeTrainer(vocab_size=2046, initial_alphabet=alphabet, end_of_word_suffix="</w>", show_progress=False),
    )
    vocab = bpe.get_vocab()
    for special in ("<|startoftext|>", "<|endoftext|>"):
        vocab[special] = len(vocab)
    merges = [tuple(pair) for pair in json.loads(bpe.to_str())["model"]["merges"]]
    return CLIPTokenizer(vocab=vocab, merges=merges, model_max_length=TOKENS)


def new_model(tokenizer: CLIPTokenizer) -> TextToLatent:
    text_encoder = CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=WIDTH,
            intermediate_size=4 * WIDTH,
            num_hidden_layers=3,
            num_attention_heads=6,
            max_position_embeddings=TOKENS,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )
    unet = UNet2DConditionModel(
        sample_size=16,
        in_channels=8,
        out_channels=8,
        layers_per_block=1,
        block_out_channels=(64, 128, 160),
        down_block_types=("DownBlock2D", "DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D", "UpBlock2D"),
        attention_head_dim=(2, 4, 5),
        cross_attention_dim=WIDTH,
        norm_num_groups=16,
        # The caption, pooled, joins the timestep's embedding: every layer knows what to draw from the start.
        addition_embed_type="text",
        addition_embed_type_num_heads=4,
    )
    return TextToLatent(text_encoder, unet)


def new_scheduler() -> DDIMScheduler:
    return DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
        timestep_spacing="leading",
        prediction_type="v_prediction",
    )


def shortened(caption: str) -> str:
    """The title with some of its keywords, or nothing at all."""
    if random.random() < CAPTION_DROPOUT:
        return ""
    title, *keywords = caption.split(", ")
    kept = random.sample(keywords, random.randint(0, len(keywords))) if random.random() < 0.3 else keywords
    article = random.choice(("", "", "a ", "the ")) if not kept else ""
    return ", ".join([article + title, *kept])


@torch.no_grad()
def encode_images(vae: AutoencoderKL) -> Tensor:
    """-> latents (N, 8, 16, 16)."""
    return torch.cat([vae.encode(x.float() / 127.5 - 1).latent_dist.mode() for x in load_images("train").split(32)])


def loss_function(
    latents_NCHW: Tensor, ids: list[str], captions: list[str], tokenizer: CLIPTokenizer, scheduler: DDIMScheduler
) -> Callable[[nn.Module], Callable[[float], Tensor]]:
    """v-prediction loss (Salimans & Ho 2022, eq. 10), more often at the noisy end, where an object takes its shape."""
    names = [f"{name} {caption}" for name, caption in zip(ids, captions, strict=True)]
    weight_N = torch.tensor([next(weight for kind, weight in WEIGHTS if re.search(kind, name)) for name in names])

    def loss_on(fast: nn.Module) -> Callable[[float], Tensor]:
        fast.unet.set_attn_processor(AttnProcessor())  # torch's fused attention is slower here, on a CPU

        def batch_loss(progress: float) -> Tensor:
            rows = torch.multinomial(weight_N, BATCH, replacement=True)
            x_BCHW = latents_NCHW[rows]
            tokens = tokenizer(
                [shortened(captions[row]) for row in rows.tolist()],
                padding="max_length",
                truncation=True,
                max_length=TOKENS,
                return_tensors="pt",
            ).input_ids
            text_BLD = fast.text_encoder(tokens).last_hidden_state
            spread_B = (torch.arange(BATCH) + torch.rand(BATCH)) / BATCH
            t_B = ((1 - spread_B**1.5) * 999).long()
            noise_BCHW = torch.randn_like(x_BCHW)
            z_BCHW = scheduler.add_noise(x_BCHW, noise_BCHW, t_B)
            v_BCHW = scheduler.get_velocity(x_BCHW, noise_BCHW, t_B)
            z_BCHW = z_BCHW.bfloat16().contiguous(memory_format=torch.channels_last)
            return (fast.unet(z_BCHW, t_B, text_BLD, return_dict=False)[0].float() - v_BCHW).square().mean()

        return batch_loss

    return loss_on


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=80)
    parser.add_argument("--teacher", type=Path, default=HERE / "teacher")
    parser.add_argument("--initial", type=Path, help="go on from the text encoder and U-Net of this teacher")
    args = parser.parse_args()
    torch.manual_seed(0)
    table = pq.read_table(HERE / "images/train.parquet", columns=["id", "caption"])
    ids, captions = table["id"].to_pylist(), table["caption"].to_pylist()
    vae = AutoencoderKL.from_pretrained(args.teacher / "vae", dtype=torch.float32)
    latents_NCHW = encode_images(vae)
    scheduler = new_scheduler()
    tokenizer = CLIPTokenizer.from_pretrained(args.initial / "tokenizer") if args.initial else new_tokenizer(captions)
    model = new_model(tokenizer)
    if args.initial:
        model.text_encoder = CLIPTextModel.from_pretrained(args.initial / "text_encoder", dtype=torch.float32)
        model.unet = UNet2DConditionModel.from_pretrained(args.initial / "unet", dtype=torch.float32)

    def save(average: nn.Module) -> None:
        parts = copy.deepcopy(average).half()
        StableDiffusionPipeline(
            vae=copy.deepcopy(vae).half(),
            text_encoder=parts.text_encoder,
            tokenizer=tokenizer,
            unet=parts.unet,
            scheduler=scheduler,
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
        ).save_pretrained(args.teacher)
        # transformers would load it in float16, and diffusers all other parts in float32.
        config = args.teacher / "text_encoder/config.json"
        config.write_text(config.read_text().replace('"dtype": "float16"', '"dtype": "float32"'))

    train_for(
        args.minutes,
        model,
        loss_function(latents_NCHW, ids, captions, tokenizer, scheduler),
        peak_lr=PEAK_LR,
        ema_decay=EMA_DECAY,
        save=save,
        save_every_minutes=8,
    )


if __name__ == "__main__":
    main()
