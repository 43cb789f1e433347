"""A training's curves and samples: TensorBoard, and Weights & Biases where it is installed and logged in."""

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
    """Event files in {url}/tensorboard; steps after ``first_step`` of an interrupted run are replaced.

    Object storage cannot append: there the files are kept here and put in place whole, now and then.
    """

    def __init__(self, url: str, first_step: int) -> None:
        self._wandb = start_wandb(locations.get_name(url)) if wandb_wanted() else None
        self._url = locations.join(url, "tensorboard")
        self._remote = locations.find_local_path(self._url) is None
        self._folder = Path(locations.find_local_path(self._url) or tempfile.mkdtemp())
        self._writer = SummaryWriter(str(self._folder), purge_step=first_step + 1)

    def figures(self, step: int, figures: dict[str, float]) -> None:
        for name, value in figures.items():
            self._writer.add_scalar(name, value, step)

    def samples(self, step: int, state: Trainer, batch: Pairs) -> None:
        """Observed, inferred and wanted latents of a few samples."""
        columns = [batch.z_BCHW, state.infer(batch), batch.target_BCHW]
        self._writer.add_image("observed, inferred, wanted", latent_grid(columns), step)
        self._put_in_place()

    def close(self) -> None:
        self._put_in_place()
        self._writer.close()
        if self._remote:
            shutil.rmtree(self._folder)
        if self._wandb:
            self._wandb.finish()

    def _put_in_place(self) -> None:
        self._writer.flush()
        for file in self._folder.iterdir() if self._remote else ():
            locations.write_bytes(locations.join(self._url, file.name), file.read_bytes())


def latent_grid(columns: list[Tensor]) -> Tensor:
    """(3, rows*H, columns*W) in [0, 1]: the first channels as colours, on the scale of the last column."""
    colours = [latents_BCHW[:SHOWN_SAMPLES, :3].float().cpu() for latents_BCHW in columns]
    low, high = colours[-1].aminmax()
    lines = [torch.cat(list(row), dim=-1) for row in zip(*colours, strict=True)]
    grid_CYX = ((torch.cat(lines, dim=-2) - low) / (high - low)).clamp(0, 1)
    return grid_CYX.expand(3, -1, -1) if len(grid_CYX) == 1 else grid_CYX


def wandb_wanted() -> bool:
    """Installed, and told where to log in: nobody is asked for a key in the middle of a cluster."""
    return importlib.util.find_spec("wandb") is not None and bool({"WANDB_API_KEY", "WANDB_MODE"} & os.environ.keys())


def start_wandb(run_id: str) -> Any:
    """One run an output, gone on with after a restart; it copies what TensorBoard is given."""
    import wandb

    return wandb.init(project="latentcrf", id=run_id, resume="allow", sync_tensorboard=True)
