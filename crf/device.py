"""Choose the device to compute on, and wait for it."""

import torch


def choose_device() -> str:
    """Return "cuda" if a GPU is available, otherwise "cpu"."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def synchronize() -> None:
    """Wait until the accelerator, if there is one, has finished its queued work. Call this before reading a clock."""
    if torch.accelerator.is_available():
        torch.accelerator.synchronize()
