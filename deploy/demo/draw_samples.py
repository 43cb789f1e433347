"""What the demo's teacher draws: stock diffusers, 50 steps, one noise a caption.

    python deploy/demo/draw_samples.py        # writes results/teacher.png

Captions in everyday words of things it was shown, and, below, of the held-out set, which it never saw.
"""

from pathlib import Path

import pyarrow.parquet as pq
import torch
from diffusers import StableDiffusionPipeline
from PIL import Image

HERE = Path(__file__).parent
SHOWN = [
    *("a red apple", "a house building", "an anchor", "a cheese wedge"),
    *("a top hat", "a delivery truck", "a dog face", "a banana"),
    *("a rose", "a whale", "a guitar", "a grinning face"),
    *("a woman astronaut", "a hot beverage", "an evergreen tree", "a sailboat"),
]
COLUMNS, SIDE = 8, 128


def main() -> None:
    pipeline = StableDiffusionPipeline.from_pretrained(HERE / "teacher")
    heldout = pq.read_table(HERE / "images/heldout.parquet", columns=["caption"])["caption"].to_pylist()[:COLUMNS]
    noise = torch.Generator().manual_seed(0)
    images = pipeline([*SHOWN, *heldout], guidance_scale=4, generator=noise).images
    sheet = Image.new("RGB", (COLUMNS * SIDE, len(images) // COLUMNS * SIDE))
    for place, image in enumerate(images):
        sheet.paste(image, (place % COLUMNS * SIDE, place // COLUMNS * SIDE))
    (HERE / "results").mkdir(exist_ok=True)
    sheet.quantize(128).save(HERE / "results/teacher.png", optimize=True)
    print("\n".join(heldout))


if __name__ == "__main__":
    main()
