"""The rows: networks in the CRF's place, where they stand in a schedule, and the controls without one."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from torch import nn

from crf.evaluation.convnet import ConvNet
from crf.model.config import ABLATIONS, LatentCRFConfig
from crf.model.latent_crf import LatentCRF
from crf.schedule import PAPERS_LEAD

Shape = dict[str, int]


@dataclass(frozen=True)
class Form:
    """A network built from the latents' shape, and how it is trained.

    ``pairs``: number of pairs in stage 2; None for all. ``aimed``: trained for the tail at ``TAIL`` alone, see
    ``aim_at_tail``. ``family``: name of the curve that it is drawn in.
    """

    name: str
    build: Callable[[Shape], nn.Module]
    stage_1_steps: int = 0
    adversarial_weight: float = 0.0
    pairs: int | None = None
    aimed: bool = False
    family: str = ""


# The first evaluations, always to t = 201 -> how many there are with the two at the end. Those of
# 31/40 begin at less noise than the teacher's 50 steps do (t = 976 instead of 981).
LEADS = {PAPERS_LEAD: 33, "31@981..201": 33, "23@981..201": 25, "15@981..201": 17}
# Numbers of evaluations at which methods are compared; those without a lead compare samplers alone.
GROUPS = (33, 25, 17, 12, 10)
# Where the last two evaluations start that a form may be aimed at.
TAIL = 101
# Keys of the methods that end with a network, as crf.evaluation.methods has them.
ENDINGS = ("crf_0", "crf_2", f"crf_2_at_{TAIL}_21")
RENOISED_ENDINGS = (*ENDINGS, "crf_2_fresh", "crf_2_consistent", "crf_2_recomputed")


def crf_form(name: str, changes: dict[str, Any], **training: Any) -> Form:
    return Form(name, lambda shape: LatentCRF(LatentCRFConfig(**{**shape, **changes})), **training)


def convnet_form(width: int, note: str = "", **training: Any) -> Form:
    name = f"plain convnet, width {width}{note}"
    return Form(name, lambda shape: ConvNet(shape["channels"], width), family="plain convnet", **training)


def experts_form(filters: int, note: str = "", **training: Any) -> Form:
    name = f"{BEST}, {filters} filters{note}"
    return crf_form(name, {**SIGNED, "filters": filters}, family="Field of Experts", **training)


PAPER: dict[str, Any] = {"hidden": 64, "filters": 64}
SEEING: dict[str, Any] = {"hidden": 32, "filters": 64, "iterations": 1, "similarity": "stationary"}
SEEING |= {"crf_input": "x0+state", "potentials": "observed"}
FILTERS: dict[str, Any] = {**SEEING, "with_pairwise": False}
SMALLER: dict[str, Any] = {**FILTERS, "kernel_size": 3, "iterations": 2, "filters": 88}
SIGNED: dict[str, Any] = {**SMALLER, "expert_weights": "signed"}
BEST = "signed experts 3x3, 2 iterations"
# Filters of 3x3 over 24 channels and back to 8, twice, at the FLOPs of a convnet of that width.
EQUAL = {28: 32, 88: 64, 180: 96}
AIMED = ", aimed at the tail"

FORMS = (
    crf_form("paper", PAPER),
    *[crf_form(f"paper, {name}", {**PAPER, **changes}) for name, changes in ABLATIONS.items()],
    crf_form("paper, stage 1 first", PAPER, stage_1_steps=300),
    crf_form("paper, stage 1 with adversary .02", PAPER, stage_1_steps=300, adversarial_weight=0.02),
    crf_form("paper, stage 1 with adversary .1", PAPER, stage_1_steps=300, adversarial_weight=0.1),
    crf_form("on x0", {**PAPER, "crf_input": "x0"}),
    crf_form("on x0 and state", {**PAPER, "crf_input": "x0+state"}),
    crf_form("sees x0 and state", SEEING),
    crf_form("sees x0 and state, filters alone", FILTERS),
    crf_form("sees x0 and state, filters alone, signed", {**FILTERS, "expert_weights": "signed"}),
    crf_form("experts 3x3, 2 iterations, 88 filters", SMALLER),
    crf_form("signed experts 3x3, 1 iteration, 176 filters", {**SIGNED, "iterations": 1, "filters": 176}),
    crf_form("signed experts 3x3, 4 iterations, 44 filters", {**SIGNED, "iterations": 4, "filters": 44}),
    crf_form("signed experts 3x3 and pairwise", {**SIGNED, "with_pairwise": True}),
    *[form for filters, width in EQUAL.items() for form in (experts_form(filters), convnet_form(width))],
    *[experts_form(88, f", {count} pairs", pairs=count) for count in (64, 128)],
    *[convnet_form(64, f", {count} pairs", pairs=count) for count in (64, 128)],
    *[replace(form, name=form.name + AIMED, aimed=True, family="") for form in (experts_form(88), convnet_form(64))],
)
NAMES = (f"{BEST}, 88 filters", "plain convnet, width 64")
EVERYWHERE = tuple(form for form in FORMS if form.name.removesuffix(AIMED) in NAMES)


def list_endings(form_name: str) -> tuple[str, ...]:
    """List the keys of the methods that end with a form: every renoising for the paper's form and for the best one."""
    return RENOISED_ENDINGS if form_name in ("paper", f"{BEST}, 88 filters") else ENDINGS


def list_forms(lead: str, names: Sequence[str]) -> tuple[Form, ...]:
    """List all forms after the paper's lead, and those that matter after others; only those of ``names`` if any."""
    forms = FORMS if lead == PAPERS_LEAD else EVERYWHERE
    return tuple(form for form in forms if not names or form.name in names)


def find_form(name: str) -> Form:
    """Return the form of a name."""
    [form] = [form for form in FORMS if form.name == name]
    return form
