"""What a CRF meets in a roll-out, and what it should have inferred."""

import pytest
import torch

from crf.errors import ScheduleError
from crf.sampling.paths import check_rollout, find_rollout_stops
from crf.sampling.rollouts import roll_out
from crf.sampling.sampler import run_schedules
from crf.sampling.trajectory import Corrections, follow
from crf.schedule import TEACHER_STEPS, Schedule
from crf.teacher.families import Condition
from crf.teacher.teacher import Teacher
from tests.support.teachers import TINY

TEXT = "2@981,841 + crf + 1@701 + crf + 2@541,321 + crf"


@torch.no_grad()
def follow_own(teacher: Teacher, noise_BCHW: torch.Tensor, given: Condition) -> dict[float, torch.Tensor]:
    """The teacher's own states that the roll-out steps to."""
    stops = find_rollout_stops(teacher.noise_schedule, Schedule.parse(TEXT))
    path = teacher.noise_schedule.path(TEACHER_STEPS)
    return {timestep: follow(teacher, noise_BCHW, path[:stop], given).state for timestep, stop in stops.items()}


@pytest.mark.parametrize("solver", ["", " (dpm++)", " (unipc)"])
@torch.no_grad()
def test_the_targets_lead_to_the_teachers_own_next_states(solver: str) -> None:
    teacher = Teacher(TINY["sd"]())
    given = teacher.condition(["a cat"] * 2, 7.5)
    noise_BCHW = torch.randn(2, 8, 4, 4, generator=torch.Generator().manual_seed(1))
    own = follow_own(teacher, noise_BCHW, given)
    met = roll_out(teacher, check_rollout(TEXT + solver), noise_BCHW, given, own)
    assert [each.seen.timesteps_B2[0].tolist() for each in met] == [[841, 701], [701, 541], [321, -1]]  # type: ignore[index]
    # The CRF of this roll-out changes nothing, so it meets the states of the plain schedule ...
    [plain] = run_schedules(teacher, [Schedule.parse("2@981,841..701" + solver)], noise_BCHW, given)
    torch.testing.assert_close(met[1].seen.state_BCHW, plain)
    torch.testing.assert_close(met[1].seen.previous_BCHW, met[0].seen.x0_BCHW)
    # ... and one that infers the first target at the first place comes to the teacher's own state.
    infer_target = Corrections(Constant(met[0].target), frozenset({1}))  # type: ignore[arg-type]
    if not solver:
        reached = follow(teacher, noise_BCHW, [(981, 841), (841, 701)], given, corrections=infer_target)
        torch.testing.assert_close(reached.state, own[701], rtol=1e-3, atol=1e-3)
        assert 0 < met[0].gain < met[2].gain


class Constant:
    """A network that infers the same latents whatever it sees."""

    def __init__(self, clean_BCHW: torch.Tensor) -> None:
        self.clean_BCHW = clean_BCHW

    def __call__(self, *seen: torch.Tensor, **more: torch.Tensor) -> torch.Tensor:
        return self.clean_BCHW


@pytest.mark.parametrize(
    "text", ["31/40 + crf", "2@981,501..201", "2@981,501", "1@981 + crf + 1@501..201 + crf + 1@101"]
)
def test_a_rollout_is_one_lead_with_crfs_inside(text: str) -> None:
    with pytest.raises(ScheduleError, match="one lead to the end, with CRFs inside"):
        check_rollout(text)


def test_the_teachers_own_steps_must_visit_where_a_corrected_one_leads() -> None:
    levels = Teacher(TINY["sd"]()).noise_schedule
    assert find_rollout_stops(levels, Schedule.parse("2@981,961 + crf")) == {-1: 50}
    with pytest.raises(ScheduleError, match="use 501, the nearest"):
        find_rollout_stops(levels, Schedule.parse("1@981 + crf + 1@505"))
