"""A pipeline so small that importing and starting its parts is most of what it costs."""

import shutil
from pathlib import Path
from typing import Any

from PIL import Image

from flows.parameters.pipeline import PipelineParameters

# A few evaluations in each of the table's methods.
LEAD, TAIL = "3@981..201", 61


def make_small_pipeline(folder: Path, teacher: Path, **training: Any) -> PipelineParameters:
    """Write the inputs of a pipeline to a folder, and return its parameters.

    One of the captions and one of the held-out captions are longer than the teacher's text encoder reads.

    Args:
        folder: Where the inputs are written, with a copy of the teacher, and the outputs, below ``runs``.
        teacher: The teacher.
        training: Options of both training stages.
    """
    (folder / "images").mkdir()
    for number in range(8):
        Image.new("RGB", (40, 40), (30 * number, 90, 200)).save(folder / f"images/plain-{number}.png")
    for name, kind in (("captions", "thing"), ("heldout", "unseen")):
        captions = [f"a {kind} with a longer name", *(f"{kind} {number}" for number in range(5))]
        (folder / f"{name}.txt").write_text("\n".join(captions) + "\n")
    short = {"steps": 3, "batch_size": 4, "lr_warmup_steps": 1, **training}
    return PipelineParameters.model_validate(
        {
            "teacher": str(shutil.copytree(teacher, folder / "teacher")),
            "images": str(folder / "images"),
            "captions": str(folder / "captions.txt"),
            "heldout_images": str(folder / "images"),
            "heldout_captions": str(folder / "heldout.txt"),
            "root": str(folder / "runs"),
            "encode": {"shard_rows": 4},
            "teach": {"shard_rows": 4, "micro_batch": 4, "lead": LEAD, "tail": TAIL},
            "train": {"crf": {"hidden": 4, "filters": 4}, **short},
            "distill": {"observed": "lead", "target": "tail", **short},
            "evaluate": {"limit": 3, "vendi_captions": 2, "vendi_noises": 2, "shard_rows": 5, "micro_batch": 5},
        }
    )
