"""Rows that were rejected when their set was scanned, on their way through the workers."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from flows.shards.blocks import DecodeImages, ReadRows, describe_halving
from storage import ArraySpec, LatentStore
from storage.inputs.captions import scan_captions
from storage.inputs.images import scan_images
from storage.store.index import index_tables
from tests.support.pictures import plain


def test_rejected_images_keep_their_rows_and_reasons(tmp_path: Path) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    for name in ("a", "c", "d"):
        (folder / f"{name}.png").write_bytes(plain("lime"))
    (folder / "b.png").symlink_to("/etc/passwd")
    (folder / "c.txt").write_text("word " * 200_000)
    (folder / "d.png").write_bytes(b"no image")
    block = DecodeImages(8)(first_block(tmp_path, scan_images(str(folder))))
    assert block["valid"].tolist() == [True, False, False, False]
    assert block["reason"].tolist() == [
        "",
        "a symbolic link out of the folder",
        "too long a caption: 1000000 bytes, at most 10000 characters",
        "unknown format: none of PNG, JPEG, WEBP, GIF, BMP, TIFF",
    ]
    assert block["caption"].tolist() == ["a", "", "", "d"]
    assert (block["image"][0] == (0, 255, 0)).all()


def test_a_rejected_caption_never_reaches_a_tokenizer(tmp_path: Path) -> None:
    (tmp_path / "c.txt").write_text("a dog\n" + "x" * 1_000_000 + "\na cat\n")
    block = first_block(tmp_path, scan_captions(str(tmp_path / "c.txt")))
    assert block["caption"].tolist() == ["a dog", "", "a cat"]
    assert block["valid"].tolist() == [True, False, True]


def test_a_halved_micro_batch_is_noted() -> None:
    assert (
        describe_halving({"halved_to": np.array([0, 0, 8, 4], np.int32)}) == "micro-batches of 4, 8 for want of memory"
    )
    assert describe_halving({"halved_to": np.zeros(3, np.int32)}) is describe_halving({}) is None


def first_block(tmp_path: Path, rows: Iterable[dict[str, Any]]) -> dict[str, np.ndarray]:
    spec = {"latents": ArraySpec.vector(1)}
    store = LatentStore.create(str(tmp_path / "s"), spec, index_tables(rows, 9), shard_rows=9, provenance={})
    return ReadRows(store.url)({"shard": np.array([0]), "start": np.array([0]), "stop": np.array([len(store)])})
