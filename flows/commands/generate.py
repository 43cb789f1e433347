"""Generate one prompt's image by the teacher alone and with the CRF, side by side."""

import time
from pathlib import Path
from typing import Any

import torch

from crf.device import choose_device, synchronize
from crf.sampling.family_pipelines import LatentCRFPipeline
from crf.schedule import Schedule, make_default_schedule
from flows.commands.configs import EMBEDDED
from flows.crf_files import choose_lead, load_crf, read_config
from storage import UserError
from storage.outputs import find_newest


def find_newest_crf(root: str) -> str:
    """Return the URL of the stage-2 CRF that was sealed last below ``root``. Raises UserError if there is none."""
    newest = find_newest(root, "distill")
    if newest is None:
        raise UserError("a distilled CRF", f"none below {root}", "run `latentcrf run demo` first, or give --crf")
    return newest


def draw_side_by_side(
    prompt: str,
    teacher: str | None,
    crf: str | None,
    schedule: str | None,
    output: str,
    root: str,
    seed: int,
    guidance_scale: float,
    ignore_mismatched_lead: bool = False,
) -> dict[str, Any]:
    """Generate both images from the same noise, each timed after a warm-up run, and write them as one PNG.

    ``schedule``: of the image with the CRF; by default the one that the CRF was distilled for. Returns what
    ``--json`` prints.
    """
    from PIL import Image

    if Path(output).suffix.lower() != ".png":
        raise UserError("a path that ends in .png", output, "change --output")
    given = Schedule.parse(schedule) if schedule else None
    url = crf or find_newest_crf(root)
    config = read_config(url)
    with_crf = given or make_default_schedule(config.get("lead"), config.get("tail"))
    if with_crf.middle == "crf":
        choose_lead(config, str(with_crf.first), ignore_mismatched_lead)
    model = load_crf(url)
    pipeline = LatentCRFPipeline.from_teacher(teacher or EMBEDDED["demo"].parent / "teacher", model)
    pipeline.to(choose_device()).set_progress_bar_config(disable=True)
    images, seconds = [], []
    for each in (Schedule.parse("50/50"), with_crf):
        pipeline.schedule = Schedule.parse("1/40 + crf")
        pipeline(prompt)
        pipeline.schedule = each
        synchronize()
        start = time.perf_counter()
        noise = torch.Generator().manual_seed(seed)
        images += pipeline(prompt, generator=noise, guidance_scale=guidance_scale, return_dict=False)[0]
        synchronize()
        seconds.append(time.perf_counter() - start)
    picture = Image.new("RGB", (images[0].width * 2, images[0].height), "white")
    for place, image in enumerate(images):
        picture.paste(image, (place * image.width, 0))
    Path(output).parent.mkdir(parents=True, exist_ok=True)
    picture.save(output)
    return {
        "prompt": prompt,
        "output": output,
        "schedule": str(with_crf),
        "teacher_seconds": seconds[0],
        "crf_seconds": seconds[1],
    }
