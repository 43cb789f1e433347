"""A training that diverges stops at once and says where; the next run does not show its progress."""

from pathlib import Path

import pytest

from flows.progress import Progress
from flows.stage import find_work
from storage import UserError, locations
from tests.support.training_jobs import run_job, train_job, write_training_store


def test_what_is_no_number_stops_the_run_and_is_named(tiny_teacher: Path, tmp_path: Path) -> None:
    bad = write_training_store(str(tmp_path / "bad"), ["latents"], bad_row=17)
    with pytest.raises(UserError, match=r"step \d: .* mse nan.*rows \[17\] hold values that are not finite; verify"):
        run_job(train_job(tmp_path, bad, tiny_teacher, adversarial_weight=0))


def test_the_progress_of_an_interrupted_run_is_not_shown_as_the_next_runs(tiny_teacher: Path, tmp_path: Path) -> None:
    bad = write_training_store(str(tmp_path / "bad"), ["latents"], bad_row=17)
    stage, params = train_job(tmp_path, bad, tiny_teacher, adversarial_weight=0, batch_size=24)  # the first step fails
    work = find_work(stage, params, params.root)
    locations.write_json(f"{work.url}/progress.json", {"step": 19, "mse": 0.5})  # no checkpoint was written
    with RecordedProgress("train", work.done, work.total) as progress, pytest.raises(UserError, match="step 0: "):
        stage.compute(params, work, progress)
    assert progress.units == 0


class RecordedProgress(Progress):
    """Count the units as well as showing them."""

    units = 0

    def advance(self, units: int = 1, **figures: float) -> None:
        self.units += units
        super().advance(units, **figures)
