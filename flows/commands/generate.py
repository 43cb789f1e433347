"""One prompt, drawn by the teacher alone and with the CRF, side by side."""

import time
from pathlib import Path
from typing import Any

import torch

from crf.device import default_device
from crf.sampling.family_pipelines import LatentCRFPipeline
from crf.schedule import Schedule
from flows.commands.configs import EMBEDDED
from flows.crf_files import load_crf
from storage import UserError
from storage.outputs import find_newest


def newest_crf(root: str) -> str:
    """URL of the stage-2 CRF that was sealed last below ROOT."""
    newest = find_newest(root, "distill")
    if newest is None:
        raise UserError("a distilled CRF", f"none below {root}", "run `latentcrf run demo` first, or give --crf")
    return newest


def side_by_side(
    prompt: str,
    teacher: str | None,
    crf: str | None,
    schedule: str,
    output: str,
    root: str,
    seed: int,
    guidance_scale: float,
) -> dict[str, Any]:
    """Writes the PNG; both from the same noise, timed after one warm-up step each."""
    from PIL import Image

    schedules = [Schedule.parse(text) for text in ("50/50", schedule)]
    model = load_crf(crf or newest_crf(root))
    pipeline = LatentCRFPipeline.from_teacher(teacher or EMBEDDED["demo"].parent / "teacher", model)
    pipeline.to(default_device()).set_progress_bar_config(disable=True)
    images, seconds = [], []
    for each in schedules:
        pipeline.schedule = Schedule.parse("1/40 + crf")
        pipeline(prompt)
        pipeline.schedule = each
        start = time.perf_counter()
        noise = torch.Generator().manual_seed(seed)
        images += pipeline(prompt, generator=noise, guidance_scale=guidance_scale, return_dict=False)[0]
        seconds.append(time.perf_counter() - start)
    picture = Image.new("RGB", (images[0].width * 2, images[0].height), "white")
    for place, image in enumerate(images):
        picture.paste(image, (place * image.width, 0))
    Path(output).parent.mkdir(parents=True, exist_ok=True)
    picture.save(output)
    return {
        "prompt": prompt,
        "output": output,
        "schedule": schedule,
        "teacher_seconds": seconds[0],
        "crf_seconds": seconds[1],
    }
