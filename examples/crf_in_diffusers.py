"""Generate with a CRF in a diffusers script.

    python examples/crf_in_diffusers.py deploy/demo/teacher CRF "a red apple" --output apple.png

CRF is a folder with config.json, such as the URL that `latentcrf distill` prints. Its schedule is the CRF's own unless
--schedule gives another, such as "31@981..201 + crf + 2@101,21 (recomputed)".
"""

from pathlib import Path

import cyclopts
import torch
from diffusers import DiffusionPipeline

from crf import LatentCRFPipeline, Schedule
from crf.device import choose_device


def main(
    teacher: Path,
    crf: Path,
    prompt: str,
    *,
    schedule: str | None = None,
    guidance_scale: float = 7.5,
    images: int = 1,
    seed: int = 0,
    output: Path = Path("latentcrf.png"),
) -> None:
    # Your own pipeline, with whatever you changed in it: LoRA weights, a fine-tuned U-Net, another VAE.
    stock = DiffusionPipeline.from_pretrained(teacher, use_safetensors=True).to(choose_device())
    pipeline = LatentCRFPipeline.from_teacher(stock, crf, Schedule.parse(schedule) if schedule else None)
    found = pipeline(
        prompt,
        guidance_scale=guidance_scale,
        num_images_per_prompt=images,
        generator=torch.Generator().manual_seed(seed),
        return_dict=False,
    )[0]
    for number, image in enumerate(found):
        image.save(output if number == 0 else output.with_stem(f"{output.stem}-{number}"))
    print(f"{len(found)} images after {pipeline.schedule.evaluations} evaluations: {output}")


if __name__ == "__main__":
    cyclopts.run(main)
