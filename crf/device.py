"""Where to compute by default, and when that is done."""

import torch


def default_device() -> str:
    """The first GPU if there is one, else the CPU."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def synchronize() -> None:
    """Wait for the accelerator, if there is one, to finish what it was given: a clock must not be read earlier."""
    if torch.accelerator.is_available():
        torch.accelerator.synchronize()
