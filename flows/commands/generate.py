"""Generate one prompt's image by the teacher's 50 steps and by a schedule, side by side."""

import time
from pathlib import Path
from typing import Any

import torch

from crf.device import choose_device, synchronize
from crf.front import Front
from crf.sampling.family_pipelines import LatentCRFPipeline
from crf.schedule import Schedule, make_default_schedule
from flows.commands.configs import EMBEDDED
from flows.evaluation.methods import check_front
from flows.training.crf_files import choose_lead, load_crf, read_config
from storage import UserError, locations
from storage.model_files.folders import local_folder
from storage.outputs import find_newest


def find_newest_crf(root: str) -> str:
    """Return the URL of the stage-2 CRF that was sealed last below ``root``. Raises UserError if there is none."""
    newest = find_newest(root, "distill")
    if newest is None:
        raise UserError("a distilled CRF", f"none below {root}", "run `latentcrf run demo` first, or give --crf")
    return newest


def read_schedule(
    text: str | None, num_inference_steps: int | None, teacher: str, guidance_scale: float, root: str
) -> Schedule | None:
    """Return the schedule that a user names: as text, by a .txt file of it, or by a search's schedule.json.

    Raises UserError for a schedule.json of another teacher or guidance scale, and if ``num_inference_steps`` is given
    without one.
    """
    if text and text.endswith((".json", ".txt")) and not locations.exists(text):
        raise UserError("a file with a schedule", f"none at {text}", "correct --schedule")
    if text and text.endswith(".json"):
        front = Front.parse(locations.read_bytes(text).decode())
        check_front(front, teacher, root)
        if guidance_scale != front.guidance_scale:
            raise UserError(
                f"guidance scale {front.guidance_scale:g}, which the schedules were searched at",
                f"{guidance_scale:g}",
                f"add --guidance-scale {front.guidance_scale:g}",
            )
        return front.choose(num_inference_steps)
    if num_inference_steps is not None:
        raise UserError("a schedule.json with --num-inference-steps", text or "no --schedule", "add --schedule")
    if text and text.endswith(".txt"):
        text = locations.read_bytes(text).decode().strip()
    return Schedule.parse(text) if text else None


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
    num_inference_steps: int | None = None,
) -> dict[str, Any]:
    """Generate both images from the same noise, each timed after a warm-up run, and write them as one PNG.

    ``schedule``: of the second image, or the schedule.json of a search; by default the one that the CRF was distilled
    for. Returns what ``--json`` prints.
    """
    from PIL import Image

    if Path(output).suffix.lower() != ".png":
        raise UserError("a path that ends in .png", output, "change --output")
    teacher = teacher or str(EMBEDDED["demo"].parent / "teacher")
    given = read_schedule(schedule, num_inference_steps, teacher, guidance_scale, root)
    url = None if given and not given.crfs else crf or find_newest_crf(root)
    config = read_config(url) if url else {}
    chosen = given or make_default_schedule(config.get("lead"), config.get("tail"), config.get("schedule"))
    if chosen.middle == "crf":
        choose_lead(config, str(chosen.first), ignore_mismatched_lead)
    model = load_crf(url) if url else None
    pipeline = LatentCRFPipeline.from_teacher(local_folder(teacher), model)
    pipeline.to(choose_device()).set_progress_bar_config(disable=True)
    images, seconds = [], []
    for each in (Schedule.parse("50/50"), chosen):
        pipeline.schedule = Schedule.parse("1/40 + crf" if model else "1/40")
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
        "schedule": str(chosen),
        "teacher_seconds": seconds[0],
        "seconds": seconds[1],
    }
