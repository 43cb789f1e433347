"""Compute a batch in parts of a fixed size, so that the size of a shard never changes a result."""

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from crf.errors import InputError

MICRO_BATCH = 16  # by default; another size may change the last bits of a matrix product
HALVED_TO = "halved_to"
Batch = dict[str, Any]


class StageModel(ABC):
    """What a stage computes: a dict of columns, one array each, to a dict of columns with the same rows.

    ``micro_batch``: rows that are computed together. If the device has too little memory for them, it is halved, with
    a warning, until the process ends. The column ``halved_to``, int32 (B,), holds the size at which each row was then
    computed, and 0 for all others.

    ``pads``: whether the last micro-batch is filled up with copies of its last row, so that a row's result does not
    depend on how many rows are in its batch. That costs time unless the number of rows is a multiple of
    ``micro_batch``.
    """

    micro_batch = MICRO_BATCH
    pads = False
    halved = False

    def __call__(self, batch: Batch, report_rows: Callable[[int], None] = lambda rows: None) -> Batch:
        """Compute a batch of any size. Calls ``report_rows`` with the number of rows of each finished micro-batch."""
        parts: list[Batch] = []

        def finish(started: Batch) -> None:
            parts.append(
                {name: column.wait() if hasattr(column, "wait") else column for name, column in started.items()}
            )
            report_rows(count_rows(parts[-1]))

        started: Batch | None = None
        for part in self._start_all(batch):
            if started:  # while the device computes the next one
                finish(started)
            started = part
        if started:
            finish(started)
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def _start_all(self, batch: Batch) -> Iterator[Batch]:
        """Start one micro-batch after the other."""
        start = 0
        while start < count_rows(batch):
            part = {name: column[start : start + self.micro_batch] for name, column in batch.items()}
            rows = count_rows(part)
            started = self._try(pad_rows(part, self.micro_batch) if self.pads else part)
            if started is None:
                self._halve()
                continue
            start += rows
            halved_to = np.full(rows, self.micro_batch if self.halved else 0, dtype=np.int32)
            yield {**take_rows(started, rows), HALVED_TO: halved_to}

    def _try(self, batch: Batch) -> Batch | None:
        """Compute a micro-batch; None if the device has too little memory, with what was taken free again."""
        import torch

        try:
            return self.compute(batch)
        except torch.OutOfMemoryError:
            pass  # leave this block first: the error holds on to the tensors
        torch.cuda.empty_cache()
        return None

    def _halve(self) -> None:
        if self.micro_batch == 1:
            raise InputError(
                "a device with memory for one sample",
                "out of memory",
                "use a smaller size, a shorter dtype or more memory",
            )
        self.micro_batch, self.halved = self.micro_batch // 2, True
        logging.getLogger(__name__).warning(
            "out of memory: computing %d rows at a time from here on, half as many; last bits may differ",
            self.micro_batch,
        )

    @abstractmethod
    def compute(self, batch: Batch) -> Batch:
        """Compute at most ``micro_batch`` rows. A column may be a ``Download`` that is under way."""


def pad_rows(batch: Batch, wanted: int) -> Batch:
    """Repeat the last row until there are ``wanted`` rows."""
    count = count_rows(batch)
    places = [*range(count), *[count - 1] * (wanted - count)]
    return {name: column[places] for name, column in batch.items()}


def take_rows(batch: Batch, count: int) -> Batch:
    """Return the first ``count`` rows."""
    return {name: column[:count] for name, column in batch.items()}


def count_rows(batch: Batch) -> int:
    """Count the rows of a batch, which all of its columns have."""
    return len(next(iter(batch.values())))
