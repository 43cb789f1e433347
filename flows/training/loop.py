"""What each Ray Train worker runs, in either training stage: resume, step, log, checkpoint, save."""

import io
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from tenacity import retry, retry_if_exception, stop_after_attempt
from torch import distributed

from crf.device import choose_device
from crf.training.pairs import Pairs
from crf.training.trainer import DivergedError, Trainer
from crf.training.workers import count_workers
from flows.crf_files import save_crf
from flows.training.logs import TrainLogs
from flows.training.objectives import Objective, Share
from storage import locations
from storage.checkpoints import find_newest_step, read_checkpoint, write_checkpoint

SECONDS_BETWEEN_REPORTS = 1.0


@dataclass(frozen=True)
class TrainLoop:
    """Rank 0 writes; all workers compute. Leaves the CRF and losses.json in ``url``."""

    objective: Objective
    url: str

    def run(self) -> str | None:
        """None, or what made the training diverge: the same on every worker, and no use trying again."""
        return self.run_until(lambda: False)

    def run_until(self, stopped: Callable[[], bool]) -> str | None:
        """The same; once ``stopped`` it ends before its next step, and what follows its last checkpoint is lost."""
        state, share = self.resume(), self.share()
        pairs = self.objective.pairs(state.steps_done, share)
        writer = Rank0(self, state) if share.rank == 0 else None
        try:
            while state.steps_done < state.optimization.steps:
                if stopped():
                    return None
                batch = next(pairs)
                figures = state.step(batch)
                if writer:
                    writer.after_step(figures, batch)
            if writer:
                writer.save()
        except DivergedError as error:
            return str(error)
        finally:
            if writer:
                writer.close()
        return None

    def resume(self) -> Trainer:
        """As the newest complete checkpoint left it, or before the first step."""
        from ray.train.torch import get_device

        torch.manual_seed(self.objective.options.seed)
        device = get_device() if self.objective.options.workers else choose_device()
        state = Trainer(self.objective.crf().to(device), self.objective.optimization())
        if saved := read_newest_checkpoint(self.url):
            state.load_state_dict(torch.load(io.BytesIO(saved), map_location=device, weights_only=True))
        return state

    def share(self) -> Share:
        import ray.train

        context = ray.train.get_context()
        ranks = context.get_world_size()
        return Share(context.get_world_rank(), ranks, self.objective.options.batch_size // ranks)


class Rank0:
    """Everything that leaves the process: logs, progress, checkpoints, the result."""

    def __init__(self, loop: TrainLoop, state: Trainer) -> None:
        self._url = loop.url
        self._options = loop.objective.options
        self._state = state
        self._logs = TrainLogs(loop.url, state.steps_done)
        self._reported = 0.0
        self._show()  # what an interrupted run wrote may be ahead of its last checkpoint

    def after_step(self, figures: dict[str, float], batch: Pairs) -> None:
        state, step = self._state, self._state.steps_done
        self._logs.figures(step, {**figures, "learning_rate": state.learning_rate})
        if time.monotonic() > self._reported + SECONDS_BETWEEN_REPORTS:
            self._reported = time.monotonic()
            self._show()
        if step % self._options.checkpointing_steps == 0 or step == state.optimization.steps:
            self._logs.samples(step, state, batch)
            saved = io.BytesIO()
            torch.save(state.state_dict(), saved)
            write_checkpoint(self._url, step, saved.getvalue(), self._options.checkpoints_total_limit)

    def close(self) -> None:
        self._logs.close()
        self._show()

    def _show(self) -> None:
        if self._state.steps_done:
            locations.write_json(
                locations.join(self._url, "progress.json"),
                {"step": self._state.steps_done, "mse": self._state.history["mse"][-1]},
            )

    def save(self) -> None:
        save_crf(self._state.result, self._url)
        names, values = zip(*self._state.history.items(), strict=True)
        records = [dict(zip(names, step, strict=True)) for step in zip(*values, strict=True)]
        locations.write_json(locations.join(self._url, "losses.json"), records)


def was_removed(error: BaseException) -> bool:
    """Tell whether another driver of the same training has removed the checkpoint: it has newer ones."""
    return isinstance(error, FileNotFoundError) and count_workers() == 1  # several workers: Ray restarts all of them


@retry(retry=retry_if_exception(was_removed), stop=stop_after_attempt(100), reraise=True)
def read_newest_checkpoint(url: str) -> bytes | None:
    """The state of the newest complete checkpoint; None if there is none."""
    step = agree_on_step(find_newest_step(url))
    return read_checkpoint(url, step) if step else None


def agree_on_step(step: int) -> int:
    """Rank 0's: another worker may list the checkpoints a moment later."""
    if count_workers() == 1:
        return step
    steps = [step]
    distributed.broadcast_object_list(steps)
    return steps[0]


def read_progress(url: str) -> dict[str, Any]:
    """Step and loss that the running training last wrote; nothing before the first."""
    try:
        return dict(json.loads(locations.read_bytes(locations.join(url, "progress.json"))))
    except FileNotFoundError:
        return {}
