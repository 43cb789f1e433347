"""The science of a search on a teacher of each family: trajectories, dynamic programming, every candidate's error."""

from typing import Any

import numpy as np
import pytest

from crf.schedule import TEACHER_STEPS
from crf.search.candidates import Space, list_candidates
from crf.search.costs import compute_first_order, compute_levels, compute_second_order
from crf.search.dynamic_programming import find_first_order_paths, find_second_order_paths
from crf.stages.measure import MeasureSchedules
from crf.stages.teach import TeachTrajectories
from tests.support.teachers import TINY, save_pipeline


@pytest.mark.parametrize("family", ["sdxl", "sd3"])
def test_every_candidate_is_measured(family: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    teacher = str(save_pipeline(TINY[family](), tmp_path_factory.mktemp(family)))
    batch = {
        "caption": np.array(["a cat", "a dog"], dtype=object),
        "seed": np.array([1, 2], dtype=np.uint64),
        "valid": np.ones(2, dtype=bool),
    }
    common: dict[str, Any] = {"device": "cpu", "threads": 1, "guidance_scale": 7.5, "size": 32}
    taught = TeachTrajectories(teacher, **common, trajectory="products")
    noise_schedule = taught.teacher.noise_schedule
    timesteps = list(noise_schedule.timesteps(TEACHER_STEPS))
    products, levels = taught(batch)["trajectory_products"], compute_levels(noise_schedule, timesteps)
    first, second = compute_first_order(products, *levels), compute_second_order(products, *levels)
    paths = {"ddim": find_first_order_paths(first), "dpm++": find_second_order_paths(first, second)}
    space = Space(noise_schedule, timesteps, first, paths, True, 0.3 if family == "sdxl" else None, None)

    texts = [str(candidate.schedule) for candidate in list_candidates(space, 4)]
    measured = MeasureSchedules(teacher, **common, schedules=[*texts, "50/50"], converged=True)(batch)
    assert measured["latent_mse"].shape == (2, len(texts) + 1)
    assert np.isfinite(measured["latent_mse"]).all()
    assert (measured["latent_mse"][:, -1] == 0).all()
    assert (measured["latent_mse"][:, :-1] > 0).all()
    assert (measured["converged_mse"][:, 0] == measured["converged_mse"][:, -1]).all()
