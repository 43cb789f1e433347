"""The picture of a store's first images."""

import io
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from crf.teacher.teacher import Teacher, to_images
from flows.report.sample_grid import COLUMNS, ROWS, draw_grid
from storage import ArraySpec, LatentStore
from storage.store.index import index_tables


def test_the_grid_shows_valid_rows_in_order_and_black_beyond_them(tiny_teacher: Path, tmp_path: Path) -> None:
    teacher = Teacher.load(tiny_teacher)
    channels, height, width = teacher.latent_shape(teacher.default_size)
    latents = np.random.default_rng(0).standard_normal((3, height, width, channels)).astype(np.float16)
    rows = [{"id": name, "caption": name, "uri": "", "checksum": "", "reason": ""} for name in ("one", "two", "three")]
    store = LatentStore.create(
        str(tmp_path / "store"),
        {"latents": ArraySpec.latent(height, width, channels)},
        index_tables(rows, 3),
        shard_rows=3,
        provenance={},
    )
    valid = np.array([True, False, True])
    seed = np.zeros(3, np.uint64)
    store.write_shard(0, {"latents": latents}, valid=valid, seed=seed, rejected={1: "bad"}, timing={}, fingerprint=None)
    with Image.open(io.BytesIO(draw_grid(store.url, "latents", str(tiny_teacher), "cpu"))) as grid:
        side = grid.width // COLUMNS
        assert grid.size == (COLUMNS * side, ROWS * side)
        first, second, third = (grid.crop((side * place, 0, side * (place + 1), side)) for place in range(3))
        for shown, row in ((first, 0), (second, 2)):
            [expected] = to_images(teacher.decode(torch.from_numpy(latents[row : row + 1]).permute(0, 3, 1, 2).float()))
            np.testing.assert_array_equal(np.asarray(shown), np.asarray(expected))
        assert not np.asarray(third).any()
