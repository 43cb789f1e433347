"""The rows: networks in the CRF's place, where they stand in a schedule, and the controls without one."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import nn

from crf.config import ABLATIONS, LatentCRFConfig
from crf.convnet import ConvNet
from crf.model import LatentCRF

Shape = dict[str, int]


@dataclass(frozen=True)
class Form:
    """A network from the latents' shape, and what it is trained on: stage 1 first or not, and how many pairs.

    ``family``: of those that are drawn as curves.
    """

    name: str
    build: Callable[[Shape], nn.Module]
    stage_1_steps: int = 0
    adversarial_weight: float = 0.0
    pairs: int | None = None
    family: str = ""


@dataclass(frozen=True)
class Ending:
    """What follows the network: the last evaluations, and what they are handed."""

    name: str
    tail: str = ""
    handover: str = "direct"


# The lead of each cost: evaluations with the two at the end -> where it hands over, always near t = 201.
LEADS = {33: "31/40", 25: "23/30", 17: "15/20"}
ENDINGS = (
    Ending("+0"),
    Ending("+2 direct", "2/50"),
    Ending("+2 placed, recomputed", "2@101,21", "recomputed"),
)
HANDOVERS = (
    *ENDINGS,
    Ending("+2 fresh", "2/50", "fresh"),
    Ending("+2 consistent", "2/50", "consistent"),
    Ending("+2 recomputed", "2/50", "recomputed"),
)
REMAINING = "11@201,181,161,141,121,101,81,61,41,21,1"
CONTROLS = (
    ("all remaining steps: what the lead leaves", "{lead} + " + REMAINING),
    ("DDIM", "{n}/{n}"),
    ("DPM-Solver++", "{n}/{n} (dpm++)"),
    ("scheduled jump", "{lead} + 2@201,21"),
    ("no CRF, as the paper's control", "{lead} + 2/50"),
    ("x0", "{lead} + x0"),
    ("x0, +2 consistent", "{lead} + x0 + 2/50 (consistent)"),
    ("x0, +2 placed", "{lead} + x0 + 2@101,21 (consistent)"),
)


def crf_form(name: str, changes: dict[str, Any], **training: Any) -> Form:
    return Form(name, lambda shape: LatentCRF(LatentCRFConfig(**shape, **changes)), **training)


def convnet_form(width: int, **training: Any) -> Form:
    name = ", ".join(["plain convnet", f"width {width}", *[f"{count} pairs" for count in training.values()]])
    return Form(name, lambda shape: ConvNet(shape["channels"], width), family="plain convnet", **training)


def experts_form(name: str, filters: int = 64, **training: Any) -> Form:
    return crf_form(name, {**FILTERS, "filters": filters}, family="Field of Experts", **training)


PAPER: dict[str, Any] = {"hidden": 64, "filters": 64}
# A filter of 5x5 over 24 channels and back to 8 costs what a convnet's width does: 64 filters, width 64.
SEEING: dict[str, Any] = {"hidden": 32, "filters": 64, "iterations": 1, "similarity": "stationary"}
SEEING |= {"crf_input": "x0+state", "potentials": "observed"}
FILTERS: dict[str, Any] = {**SEEING, "with_pairwise": False}
BEST = "sees x0 and state, filters alone"

FORMS = (
    crf_form("paper", PAPER),
    *[crf_form(f"paper, {name}", {**PAPER, **changes}) for name, changes in ABLATIONS.items()],
    crf_form("paper, stage 1 first", PAPER, stage_1_steps=300),
    crf_form("paper, stage 1 with adversary .02", PAPER, stage_1_steps=300, adversarial_weight=0.02),
    crf_form("paper, stage 1 with adversary .1", PAPER, stage_1_steps=300, adversarial_weight=0.1),
    crf_form("on x0", {**PAPER, "crf_input": "x0"}),
    crf_form("on x0 and state", {**PAPER, "crf_input": "x0+state"}),
    crf_form("sees x0 and state", SEEING),
    experts_form(BEST),
    crf_form(f"{BEST}, 3 iterations", {**FILTERS, "iterations": 3}),
    *[convnet_form(width) for width in (32, 64)],
    *[experts_form(f"{BEST}: {count}", filters=count) for count in (16, 32, 128, 256)],
    *[experts_form(f"{BEST}, {count} pairs", pairs=count) for count in (64, 128)],
    *[convnet_form(64, pairs=count) for count in (64, 128)],
)
EVERYWHERE = (BEST, "plain convnet, width 64")


def endings_of(form_name: str) -> tuple[Ending, ...]:
    """Every hand-over for the paper's form and for the best one."""
    return HANDOVERS if form_name in ("paper", BEST) else ENDINGS


def forms_at(evaluations: int) -> tuple[Form, ...]:
    """All of them at the paper's two thirds of the cost, those that matter below."""
    return FORMS if evaluations == 33 else tuple(form for form in FORMS if form.name in EVERYWHERE)
