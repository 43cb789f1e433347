"""Keep the warnings of a worker until its next report: Python's own, and log records from WARNING on.

Ray's are left out: it raises what matters.
"""

import logging
from collections import deque

MOST_KEPT = 100
LONGEST = 1_000  # characters


class KeptWarnings(logging.Handler):
    """Keep the texts of the newest warnings until they are taken.

    They are not sent from here: that would call Ray wherever something is logged, even within Ray.
    """

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._texts: deque[str] = deque(maxlen=MOST_KEPT)

    def start(self) -> None:
        """Keep the warnings of this process from now on. Has no effect the second time."""
        logging.captureWarnings(True)
        logging.getLogger().addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        if record.name.partition(".")[0] != "ray":
            self._texts.append(" ".join(record.getMessage().split())[:LONGEST])

    def take(self) -> list[str]:
        """Return the different texts since the last time, and forget them."""
        texts = [self._texts.popleft() for _ in range(len(self._texts))]
        return list(dict.fromkeys(texts))


KEPT = KeptWarnings()
