"""Log a training's curves and samples to TensorBoard and, if it is configured, to Weights & Biases."""

import importlib.util
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from crf.training.pairs import Pairs
from crf.training.trainer import Trainer
from storage import locations

SHOWN_SAMPLES = 4


class TrainLogs:
    """TensorBoard event files in {url}/tensorboard, and the same in Weights & Biases.

    ``steps_done``: the steps before this run; TensorBoard hides what an interrupted run logged after them.
    Object storage cannot append, so a remote URL gets whole copies of local files, with the samples and at the end.
    """

    def __init__(self, url: str, steps_done: int) -> None:
        self._wandb = start_wandb(locations.get_name(url)) if is_wandb_configured() else None
        self._url = locations.join(url, "tensorboard")
        self._remote = locations.find_local_path(self._url) is None
        self._folder = Path(locations.find_local_path(self._url) or tempfile.mkdtemp())
        self._writer = SummaryWriter(str(self._folder), purge_step=steps_done + 1)

    def log_figures(self, step: int, figures: dict[str, float]) -> None:
        for name, value in figures.items():
            self._writer.add_scalar(name, value, step)

    def log_samples(self, step: int, trainer: Trainer, batch: Pairs) -> None:
        """Log the observed, inferred and wanted latents of the batch's first samples as an image."""
        columns = [batch.z_BCHW, trainer.infer(batch), batch.target_BCHW]
        self._writer.add_image("observed, inferred, wanted", arrange_latents(columns), step)
        self._upload()

    def close(self) -> None:
        self._upload()
        self._writer.close()
        if self._remote:
            shutil.rmtree(self._folder)
        if self._wandb:
            self._wandb.finish()

    def _upload(self) -> None:
        self._writer.flush()
        for file in self._folder.iterdir() if self._remote else ():
            locations.write_bytes(locations.join(self._url, file.name), file.read_bytes())


def arrange_latents(columns: list[Tensor]) -> Tensor:
    """Arrange latents in a grid (3, rows*H, columns*W) in [0, 1].

    Channels 0 to 2 become red, green and blue, scaled to the last column's range.
    """
    colours = [latents_BCHW[:SHOWN_SAMPLES, :3].float().cpu() for latents_BCHW in columns]
    low, high = colours[-1].aminmax()
    lines = [torch.cat(list(row), dim=-1) for row in zip(*colours, strict=True)]
    grid_CYX = ((torch.cat(lines, dim=-2) - low) / (high - low)).clamp(0, 1)
    return grid_CYX.expand(3, -1, -1) if len(grid_CYX) == 1 else grid_CYX


def is_wandb_configured() -> bool:
    """Tell whether wandb is installed and has WANDB_API_KEY or WANDB_MODE, so that it never prompts on a cluster."""
    return importlib.util.find_spec("wandb") is not None and bool({"WANDB_API_KEY", "WANDB_MODE"} & os.environ.keys())


def start_wandb(run_id: str) -> Any:
    """Start, or resume after a restart, the output's one run; it mirrors what goes to TensorBoard."""
    import wandb

    return wandb.init(project="latentcrf", id=run_id, resume="allow", sync_tensorboard=True)
