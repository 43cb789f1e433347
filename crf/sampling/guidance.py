"""Which evaluations of a schedule compute classifier-free guidance, reuse it, or run without."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from crf.schedule import Schedule

Guidance = Literal["computed", "reused", "none"]


def plan_guidance(schedule: Schedule, timesteps: Sequence[float]) -> list[Guidance]:
    """Plan the guidance of the evaluations at ``timesteps``, from the schedule's first one on.

    "computed": the network runs with and without the caption. "reused": it runs with the caption, and the last
    difference that was computed stands for the rest. "none": it runs with the caption alone.
    """
    plan: list[Guidance] = []
    since, below = schedule.guidance_every, schedule.guidance_every_below  # since: evaluations from the last computed
    for timestep in timesteps:
        reuses = since < schedule.guidance_every and (below is None or timestep < below)
        guidance: Guidance = "none" if not schedule.is_guided_at(timestep) else "reused" if reuses else "computed"
        since = 1 if guidance == "computed" else since + 1
        plan.append(guidance)
    return plan
