"""The model that a job's actors run.

Keep the imports light: every worker process pays for them.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pkgutil import resolve_name
from typing import Any

import numpy as np

from crf.errors import CRFError
from flows.workers.reports import Reporter, report_warnings
from storage import UserError
from storage.model_files.folders import local_folder

Block = dict[str, Any]


@dataclass(frozen=True)
class ModelSpec:
    """A model that is not loaded yet.

    Args:
        name: Its class as "module:class", so that only the actors pay for the import. The class takes ``device`` and
            ``threads`` besides the arguments. Its instances take a block and a function that they call with the number
            of rows of each piece that they have done.
        arguments: Arguments of its constructor.
        folders: Argument of its constructor -> URL of the model files that it loads, which are fetched to this machine.
    """

    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    folders: Mapping[str, str] = field(default_factory=dict)

    def load(self, device: str, threads: int) -> Any:
        """Load the model on this machine."""
        paths = {name: local_folder(url) for name, url in self.folders.items()}
        return resolve_name(self.name)(**self.arguments, **paths, device=device, threads=threads)


class Model:
    """Apply the model, in an actor. The reporter gets the rows done of each block, and this process's warnings.

    Adds the column ``device_seconds``: each row's part of the time that the block took.

    A user's error in the model's constructor is raised with the first block, because Ray reduces an error
    in an actor's constructor to its text.
    """

    def __init__(self, spec: ModelSpec, device: str, threads: int, reporter: Reporter) -> None:
        self.reporter = reporter
        self.error: UserError | CRFError | None = None
        with report_warnings(reporter):
            try:
                self.compute = spec.load(device, threads)
            except (UserError, CRFError) as error:
                self.error = error

    def __call__(self, block: Block) -> Block:
        if self.error:
            raise self.error
        first, rows, done = int(block["row"][0]), len(block["row"]), 0
        started = time.perf_counter()

        def report_rows(more: int) -> None:
            nonlocal done
            done += more
            self.reporter.count_rows(first, done)
            self.reporter.send_warnings()

        with report_warnings(self.reporter):
            computed: Block = self.compute(block, report_rows)
        return {**computed, "device_seconds": np.full(rows, (time.perf_counter() - started) / rows)}
