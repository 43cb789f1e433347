"""The training loop that each Ray Train worker runs: resume, step, log, checkpoint, save."""

import io
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from tenacity import retry, retry_if_exception, stop_after_attempt
from torch import distributed

from crf.device import choose_device
from crf.training.pairs import Pairs
from crf.training.trainer import DivergedError, Trainer
from crf.training.workers import count_workers
from flows.training.batches import Share
from flows.training.crf_files import save_crf
from flows.training.logs import TrainLogs
from flows.training.objectives import Objective
from flows.workers.reports import Reporter, report_warnings
from storage import locations
from storage.checkpoints import find_newest_step, read_checkpoint, write_checkpoint

SECONDS_BETWEEN_REPORTS = 1.0


@dataclass(frozen=True)
class TrainLoop:
    """Train an objective, from its newest checkpoint on, and write the CRF and losses.json to ``url``.

    All workers compute; only rank 0 writes. Each second it calls ``show_step`` with the steps done and newest figures.

    ``reporter``: gets the workers' warnings, if they are not in this process.
    """

    objective: Objective
    url: str
    show_step: Callable[[int, dict[str, float]], None]
    reporter: Reporter | None = None

    def run(self) -> str | None:
        """Train to the last step. Return None, or what diverged.

        A divergence is returned, not raised, because Ray Train would retry, and it would diverge again. Every worker
        returns the same.
        """
        with report_warnings(self.reporter):
            return self.run_until(lambda: False)

    def run_until(self, stopped: Callable[[], bool]) -> str | None:
        """Train until the last step or, if earlier, until ``stopped`` returns true. Return None, or what diverged.

        After a stop, the steps since the last checkpoint are lost.
        """
        trainer, share = self.resume(), self.find_share()
        pairs = self.objective.read_pairs(trainer.steps_done, share, trainer.device)
        writer = Rank0Writer(self, trainer) if share.rank == 0 else None
        try:
            while trainer.steps_done < trainer.optimization.steps:
                if stopped():
                    return None
                batch = next(pairs)
                figures = trainer.step(batch)
                if writer:
                    writer.write_step(figures, batch)
            if writer:
                writer.write_result()
        except DivergedError as error:
            return str(error)
        finally:
            if writer:
                writer.close()
        return None

    def resume(self) -> Trainer:
        """Return the trainer, with the state of the newest complete checkpoint if there is one."""
        from ray.train.torch import get_device

        torch.manual_seed(self.objective.options.seed)
        device = get_device() if self.objective.options.workers else choose_device()
        trainer = Trainer(self.objective.build_crf().to(device), self.objective.make_trainer_config())
        if saved := read_newest_checkpoint(self.url):
            trainer.load_state_dict(torch.load(io.BytesIO(saved), map_location=device, weights_only=True))
        return trainer

    def find_share(self) -> Share:
        """Return this worker's share of every batch."""
        import ray.train

        context = ray.train.get_context()
        ranks = context.get_world_size()
        return Share(context.get_world_rank(), ranks, self.objective.options.batch_size // ranks)


class Rank0Writer:
    """Send everything that leaves the process: logs, progress, checkpoints and the result."""

    def __init__(self, loop: TrainLoop, trainer: Trainer) -> None:
        self._url, self._show_step = loop.url, loop.show_step
        self._options = loop.objective.options
        self._trainer = trainer
        self._logs = TrainLogs(loop.url, trainer.steps_done)
        self._reported = 0.0

    def write_step(self, figures: dict[str, float], batch: Pairs) -> None:
        trainer, step = self._trainer, self._trainer.steps_done
        self._logs.log_figures(step, {**figures, "learning_rate": trainer.learning_rate})
        if time.monotonic() > self._reported + SECONDS_BETWEEN_REPORTS:
            self._reported = time.monotonic()
            self._report()
        if step % self._options.checkpointing_steps == 0 or step == trainer.optimization.steps:
            self._logs.log_samples(step, trainer, batch)
            saved = io.BytesIO()
            torch.save(trainer.state_dict(), saved)
            write_checkpoint(self._url, step, saved.getvalue(), self._options.checkpoints_total_limit)

    def close(self) -> None:
        self._logs.close()
        self._report()

    def _report(self) -> None:
        if self._trainer.steps_done:
            self._show_step(self._trainer.steps_done, {"mse": self._trainer.history["mse"][-1]})

    def write_result(self) -> None:
        """Write the CRF, with averaged weights, and losses.json."""
        save_crf(self._trainer.result, self._url)
        names, values = zip(*self._trainer.history.items(), strict=True)
        records = [dict(zip(names, step, strict=True)) for step in zip(*values, strict=True)]
        locations.write_json(locations.join(self._url, "losses.json"), records)


def was_removed(error: BaseException) -> bool:
    """Tell whether a checkpoint vanished because another driver of this training has written newer ones."""
    # With several workers the others would not retry with this one: Ray restarts all of them instead.
    return isinstance(error, FileNotFoundError) and count_workers() == 1


@retry(retry=retry_if_exception(was_removed), stop=stop_after_attempt(100), reraise=True)
def read_newest_checkpoint(url: str) -> bytes | None:
    """Read the newest complete checkpoint; None if there is none."""
    step = agree_on_step(find_newest_step(url))
    return read_checkpoint(url, step) if step else None


def agree_on_step(step: int) -> int:
    """Return rank 0's step on all workers: each may have listed the checkpoints at another moment."""
    if count_workers() == 1:
        return step
    steps = [step]
    distributed.broadcast_object_list(steps)
    return steps[0]
