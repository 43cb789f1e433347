"""A training that diverges stops at once and says where."""

from pathlib import Path

import pytest

from storage import UserError
from tests.support.training_jobs import run_job, train_job, write_training_store


def test_what_is_no_number_stops_the_run_and_is_named(tiny_teacher: Path, tmp_path: Path) -> None:
    bad = write_training_store(str(tmp_path / "bad"), ["latents"], bad_row=17)
    with pytest.raises(UserError, match=r"step \d: .* mse nan.*rows \[17\] hold values that are not finite; verify"):
        run_job(train_job(tmp_path, bad, tiny_teacher, adversarial_weight=0))
