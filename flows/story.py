"""Tell what a stage does in the log of its flow run: what and why, how far, what was rejected, where the output lies.

On the terminal, which shows progress and result anyway, only the warnings appear.
"""

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tqdm import tqdm

from flows.errors import find_user_error
from flows.progress import Progress
from flows.report.artifacts import publish_rejected
from flows.runs.log import find_run_logger
from storage.store.index import read_index_shards

PERCENT, SECONDS = 5, 60  # at least so much between two lines of progress, so a stage has 20 of them at most
POLL_SECONDS = 1
SHOWN_ROWS, SHOWN_REASONS, LISTED_ROWS = 5, 10, 200  # of the rejected rows: in the log, and in the table


class Story:
    """The log of one stage in its flow run. ``stage``: its name."""

    def __init__(self, stage: str) -> None:
        self.stage = stage
        self._logger = find_run_logger()
        self._started = time.monotonic()

    @property
    def is_heard(self) -> bool:
        """Whether what is told appears anywhere."""
        return self._logger.isEnabledFor(logging.INFO)

    def tell(self, text: str) -> None:
        self._logger.info("%s: %s", self.stage, text)

    def tell_end(self, url: str, counts: dict[str, int]) -> None:
        """Tell how long the stage took, its rows by kind, and where its output lies."""
        listed = "".join(f"{count:,} {kind}, " for kind, count in counts.items())
        self.tell(f"computed in {tqdm.format_interval(time.monotonic() - self._started)}; {listed}at {url}")

    def tell_rejected(self, index: str) -> None:
        """Tell the first rejected rows, and how many have which reason; publish a table of them.

        ``index``: URL of a sealed store's index.
        """
        rows, reasons = read_rejected(index)
        for row in rows[:SHOWN_ROWS]:
            self._logger.info("%s: rejected %s: %s (%s)", self.stage, row["id"], row["reason"], row["source"])
        listed = ", ".join(f"{count:,} × {reason}" for reason, count in reasons.most_common(SHOWN_REASONS))
        self._logger.info("%s: %d rows were rejected: %s", self.stage, reasons.total(), listed)
        publish_rejected(self.stage, rows)

    @contextmanager
    def follow(self, progress: Progress, count_kept: Callable[[], str]) -> Iterator[None]:
        """Tell the progress now and then until the block ends and, if it fails, what is kept and what to do.

        ``count_kept``: returns what a later run need not do again, such as "37 of 512 shards".
        """
        ended = threading.Event()
        thread = threading.Thread(target=self._tell_progress, args=(progress, ended), daemon=True)
        thread.start()
        try:
            yield
        except BaseException as error:  # a cancellation, too
            self._tell_failure(error, count_kept)
            raise
        finally:
            ended.set()
            thread.join()

    def _tell_failure(self, error: BaseException, count_kept: Callable[[], str]) -> None:
        cause = find_user_error(error)
        self.tell(f"failed: {cause}" if cause else f"stopped by {type(error).__name__}")
        try:
            self.tell(f"run the same again, and it goes on from here: {count_kept()} are kept")
        except Exception:  # the store does not answer: that may be why the stage failed
            self.tell("run the same again, and it goes on from what is committed")

    def _tell_progress(self, progress: Progress, ended: threading.Event) -> None:
        told, when = progress.percent, time.monotonic()
        while not ended.wait(POLL_SECONDS):
            if progress.percent >= told + PERCENT and time.monotonic() >= when + SECONDS:
                told, when = progress.percent, time.monotonic()
                self.tell(progress.describe())


def read_rejected(index: str) -> tuple[list[dict[str, str]], "Counter[str]"]:
    """Read a store's rejected rows from its index: the first of them, and how many have which reason."""
    rows: list[dict[str, str]] = []
    reasons: Counter[str] = Counter()
    for table in read_index_shards(index):
        for row in table.select(["id", "reason", "uri"]).to_pylist():
            if row["reason"]:
                reasons[row["reason"]] += 1
                if len(rows) < LISTED_ROWS:
                    rows.append({"id": row["id"], "reason": row["reason"], "source": row["uri"]})
    return rows, reasons
