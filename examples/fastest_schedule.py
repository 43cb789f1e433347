"""Generate on the fastest schedule that a search found for your teacher.

    python examples/fastest_schedule.py TEACHER schedule.json "a red apple" --num-inference-steps 17

TEACHER is a folder in diffusers format, and schedule.json the file that `latentcrf search` writes. Without
--num-inference-steps the schedule runs that the search recommends.
"""

from pathlib import Path

import cyclopts
import torch

from crf import Front, LatentCRFPipeline
from crf.device import choose_device


def main(
    teacher: Path,
    front: Path,
    prompt: str,
    *,
    num_inference_steps: int | None = None,
    crf: Path | None = None,
    seed: int = 0,
    output: Path = Path("fastest.png"),
) -> None:
    found = Front.read(front)
    for point in found.points:
        chosen = " (recommended)" if point.evaluations == found.recommended else ""
        print(f"{point.evaluations} evaluations, {point.passes:g} passes: {point.schedule}{chosen}")

    # --crf: some points may have a CRF in them, if the search was given one.
    pipeline = LatentCRFPipeline.from_teacher(teacher, crf, schedule=found).to(choose_device())
    drawn = pipeline(
        prompt,
        num_inference_steps=num_inference_steps,
        guidance_scale=found.guidance_scale,  # what the schedules were chosen for
        generator=torch.Generator().manual_seed(seed),
    )
    drawn.images[0].save(output)
    print(f"{output}: {found.choose(num_inference_steps)}")


if __name__ == "__main__":
    cyclopts.run(main)
