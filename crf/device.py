"""Choose the device to compute on, set it up, copy to and from it, and wait for it."""

from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

Precision = Literal["float32", "bfloat16", "float16"]


def choose_device() -> str:
    """Return "cuda" if a GPU is available, otherwise "cpu"."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def synchronize() -> None:
    """Wait until the accelerator, if there is one, has finished its queued work. Call this before reading a clock."""
    if torch.accelerator.is_available():
        torch.accelerator.synchronize()


def set_up(threads: int) -> None:
    """Set up this process for a stage: its number of CPU threads, and float32 that is IEEE float32 on a GPU, too.

    PyTorch's own default computes float32 convolutions in TF32, with 10 bits of mantissa in place of 23.
    """
    torch.set_num_threads(threads)
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = False


def make_stream(device: torch.device) -> torch.cuda.Stream:
    """Make a stream of a GPU."""
    stream: torch.cuda.Stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
    return stream


class Copies:
    """Copies to and from a device. On a GPU they run on streams of their own, beside its computing.

    Args:
        device: The device.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        on_gpu = device.type == "cuda"
        self.up, self.down = (make_stream(device) if on_gpu else None for _ in range(2))

    def upload(self, values: Any) -> Tensor:
        """Return an array or a tensor of the CPU as a tensor on the device. What is queued next waits for it."""
        source = torch.as_tensor(values)
        if self.up is None:
            return source.to(self.device)
        with torch.cuda.stream(self.up):
            uploaded = source.pin_memory().to(self.device, non_blocking=True)
        computing = torch.cuda.current_stream(self.device)
        computing.wait_stream(self.up)
        uploaded.record_stream(computing)
        return uploaded

    def download(self, values: Tensor) -> "Download":
        """Begin to copy a tensor to the CPU."""
        if self.down is None:
            return Download(values)
        self.down.wait_stream(torch.cuda.current_stream(self.device))
        with torch.cuda.stream(self.down):
            host = torch.empty(values.shape, dtype=values.dtype, pin_memory=True)
            host.copy_(values, non_blocking=True)
            values.record_stream(self.down)
        return Download(host, self.down.record_event())


class Download:
    """A copy to the CPU that may be under way."""

    def __init__(self, host: Tensor, arrived: torch.cuda.Event | None = None) -> None:
        self._host, self._arrived = host, arrived

    def __getitem__(self, rows: slice) -> "Download":
        return Download(self._host[rows], self._arrived)

    def wait(self) -> np.ndarray[Any, Any]:
        """Return the array once it is there."""
        if self._arrived:
            self._arrived.synchronize()
        array: np.ndarray[Any, Any] = self._host.numpy()
        return array
