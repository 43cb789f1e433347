"""The actor of the chaos stage. Every worker imports it, so it imports neither Prefect nor torch."""

import logging
import os
import signal
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from flows.shards.model import Block

SHAPE = (16, 16, 8)


class Compute:
    """Draw each row's latents from its seed; reject every ninth row."""

    def __init__(self, device: str, threads: int, seconds: float) -> None:
        self.seconds = seconds

    def __call__(self, block: Block, report_rows: Callable[[int], None] = lambda rows: None) -> Block:
        time.sleep(self.seconds)
        report_rows(len(block["row"]))
        noise = [np.random.default_rng(int(seed)).standard_normal(SHAPE) for seed in block["seed"]]
        latents = np.stack(noise).astype(np.float16)
        valid = block["row"] % 9 != 0
        latents[~valid] = np.nan
        reason = np.where(valid, "", "made to be rejected").astype(object)
        arrays = {"latents": latents, "text": latents[:, 0, 0, :].copy()}
        return {**block, **arrays, "valid": valid, "reason": reason, "device_seconds": np.zeros(len(valid))}


class Gated(Compute):
    """Report three rows, warn, and wait for a file before the rest."""

    def __init__(self, gate: str, **rest: Any) -> None:
        super().__init__(**rest)
        self.gate = Path(gate)

    def __call__(self, block: Block, report_rows: Callable[[int], None] = lambda rows: None) -> Block:
        for _ in range(2):
            logging.getLogger("library").warning("a strange\nrow")
            logging.getLogger("ray.data").warning("a busy node")
        warnings.warn("an old file", stacklevel=1)
        report_rows(3)
        while not self.gate.exists():
            time.sleep(0.01)
        return super().__call__(block)


class Meeting(Compute):
    """Begin the first shard only when another actor has begun it, too: each puts a file into a folder."""

    def __init__(self, folder: str, **rest: Any) -> None:
        super().__init__(**rest)
        self.folder = Path(folder)

    def __call__(self, block: Block, report_rows: Callable[[int], None] = lambda rows: None) -> Block:
        if block["row"][0] < 80:
            (self.folder / str(os.getpid())).touch()
            while len(list(self.folder.iterdir())) < 2:
                time.sleep(0.01)
        return super().__call__(block, report_rows)


class Dying(Compute):
    """Kill its own process, as a lack of memory would."""

    def __call__(self, block: Block, report_rows: Callable[[int], None] = lambda rows: None) -> Block:
        os.kill(os.getpid(), signal.SIGKILL)
        return block


class DyingEarly(Compute):
    """Kill its own process before it has loaded."""

    def __init__(self, **rest: Any) -> None:
        os.kill(os.getpid(), signal.SIGKILL)
