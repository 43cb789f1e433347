"""The tables of the LatentCRF paper (arXiv 2412.18596): every figure that we could read, and how ours are found.

The text of the paper that this was transcribed from keeps only two tables, 4 and 5. The other tables are known by what
the sections say about them; a figure that no section repeats is UNKNOWN. The text also calls three tables
"Table 6"; here they are 4, 5 and 6, in the order in which section 4.2 mentions them.
"""

from dataclasses import dataclass, field
from typing import Literal

QuantityName = Literal["fid", "clip", "vendi", "vendi_drop", "time_saved"]


@dataclass(frozen=True)
class Printed:
    """A figure of the paper.

    Args:
        text: The figure as the paper prints it, or "unknown".
        value: The figure as a number; None if it is unknown.
        source: Where the paper has it, if not in the table itself, e.g. "section 4.1".
    """

    text: str
    value: float | None = None
    source: str = ""


UNKNOWN = Printed("unknown")
"""A figure that the table has, but the text that we have does not."""


@dataclass(frozen=True)
class Counterpart:
    """The method of ours that a row of the paper corresponds to.

    Args:
        schedule: The paper's schedule. An evaluation's method with this schedule is the row's, too.
        key: Key of the method in report.json, whose schedule may differ; "" (default) if only the schedule counts.
        crf: The options of the CRF that the row is about, if they are not the paper's usual ones.
    """

    schedule: str
    key: str = ""
    crf: dict[str, bool] = field(default_factory=dict)


@dataclass(frozen=True)
class PaperRow:
    """A row of a table: its label, its figures, and the method of ours that it corresponds to.

    ``ours`` is None if this project has no such method; then ``why_not`` says why.
    """

    label: str
    printed: dict[QuantityName, Printed]
    ours: Counterpart | None = None
    why_not: str = ""


@dataclass(frozen=True)
class PaperTable:
    """A table of the paper. ``notes`` say what the paper's text says about it, and what is uncertain."""

    number: str
    title: str
    quantities: tuple[QuantityName, ...]
    rows: tuple[PaperRow, ...]
    notes: tuple[str, ...] = ()


FULL = Counterpart("50/50", "full_50")
CRF_2 = Counterpart("31/40 + crf + 2/50", "crf_2")
NO_HIGHER_ORDER = Counterpart(CRF_2.schedule, CRF_2.key, {"with_higher_order": False})
NEITHER = Counterpart(CRF_2.schedule, CRF_2.key, {"with_higher_order": False, "with_text": False})
FID_LDM, FID_CRF = Printed("12.75", 12.75, "table 4"), Printed("11.58", 11.58, "table 4")
FASTER = Printed("33 %", 33.0, "section 4.1")
SAVED = "The paper says 'speedup'; that it means time saved is our reading."
ONLY_TWO = (
    "The paper's text, as we have it, lacks this table; the figures here are from its sections and from tables 4 and 5."
)
LARGE = "the paper's larger teacher, of 2 B parameters"
OTHER_MODEL = "another model, with weights of its own"

TABLE_1 = PaperTable(
    "1",
    "LatentCRF beside its teacher",
    ("fid", "clip", "vendi", "time_saved"),
    (
        PaperRow("LDM, 50 steps", {"fid": FID_LDM, "clip": UNKNOWN, "vendi": UNKNOWN}, FULL),
        PaperRow(
            "LDM, as many steps as LatentCRF",
            {"fid": UNKNOWN, "clip": UNKNOWN, "vendi": UNKNOWN, "time_saved": UNKNOWN},
            Counterpart("33/33", "ddim"),
        ),
        PaperRow("31 + CRF + 2", {"fid": FID_CRF, "clip": UNKNOWN, "vendi": UNKNOWN, "time_saved": FASTER}, CRF_2),
    ),
    (
        ONLY_TWO,
        "Section 4.1: LatentCRF outperforms the LDM of as many steps, and virtually matches or exceeds the full LDM in "
        "FID, CLIP score and Vendi score, at guidance 7.5 with DDIM.",
        "That the LDM of as many steps takes 33 is our reading.",
        SAVED,
    ),
)
TABLE_2 = PaperTable(
    "2",
    "LatentCRF beside other faster models",
    ("fid", "clip"),
    (
        PaperRow("prior work [14, 32] (rows unknown)", {"fid": UNKNOWN, "clip": UNKNOWN}, why_not=OTHER_MODEL),
        PaperRow("31 + CRF + 2", {"fid": UNKNOWN, "clip": UNKNOWN}, CRF_2),
    ),
    (
        "The paper's text, as we have it, lacks this table.",
        "Section 4.1: in the common evaluation settings of [14] (Habibian et al. 2024) and [32] (Luo et al. 2023), "
        "LatentCRF matches or outperforms them in image quality.",
    ),
)
TABLE_3 = PaperTable(
    "3",
    "Diversity: images of one prompt from several noises",
    ("vendi", "vendi_drop", "time_saved"),
    (
        PaperRow("SDXL", {"vendi": UNKNOWN}, why_not=OTHER_MODEL),
        PaperRow(
            "ADD (teacher: SDXL)",
            {"vendi": UNKNOWN, "vendi_drop": Printed("over 40 %", 40.0, "section 4.1"), "time_saved": UNKNOWN},
            why_not=OTHER_MODEL,
        ),
        PaperRow(
            "ADD, 33 or 50 steps",
            {"vendi": UNKNOWN, "vendi_drop": Printed("over 30 %", 30.0, "section 4.1"), "time_saved": UNKNOWN},
            why_not=OTHER_MODEL,
        ),
        PaperRow("LDM", {"vendi": UNKNOWN}, FULL),
        PaperRow(
            "31 + CRF + 2",
            {"vendi": UNKNOWN, "vendi_drop": Printed("4 %", 4.0, "section 4.1"), "time_saved": FASTER},
            CRF_2,
        ),
        PaperRow("LDM-L", {"vendi": UNKNOWN}, why_not=LARGE),
        PaperRow(
            "LatentCRF-L",
            {"vendi": UNKNOWN, "vendi_drop": Printed("none", 0.0, "section 4.1"), "time_saved": FASTER},
            why_not=LARGE,
        ),
    ),
    (ONLY_TWO, "Appendix E: Vendi scores of features from CLIP ViT-L/14 at 336 px, averaged over prompts.", SAVED),
)
TABLE_4 = PaperTable(
    "4",
    "Ablation of the inference pipeline",
    ("fid",),
    (
        PaperRow("31 + CRF + 2", {"fid": Printed("11.58", 11.58)}, CRF_2),
        PaperRow("31 + CRF + 0", {"fid": Printed("11.74", 11.74)}, Counterpart("31/40 + crf", "crf_0")),
        PaperRow("31 + 0 + 2", {"fid": Printed("19.72", 19.72)}, Counterpart("31/40 + 2/50", "none_2")),
        PaperRow("31 + 0 + 0", {"fid": Printed("21.85", 21.85)}, Counterpart("31/40", "none_0")),
        PaperRow("LDM", {"fid": Printed("12.75", 12.75)}, FULL),
    ),
    ("The paper's text calls this table 6; that it is table 4 is our reading.",),
)
TABLE_5 = PaperTable(
    "5",
    "Ablation of the CRF's components",
    ("fid",),
    (
        PaperRow("text and higher order", {"fid": Printed("11.58", 11.58)}, CRF_2),
        PaperRow("text, no higher order", {"fid": Printed("11.62", 11.62)}, NO_HIGHER_ORDER),
        PaperRow("neither", {"fid": Printed("11.78", 11.78)}, NEITHER),
        PaperRow("text and higher order, L", {"fid": Printed("11.27", 11.27)}, why_not=LARGE),
        PaperRow("text, no higher order, L", {"fid": Printed("11.58", 11.58)}, why_not=LARGE),
        PaperRow("neither, L", {"fid": Printed("11.72", 11.72)}, why_not=LARGE),
    ),
    ("The paper's text calls this table 6; that it is table 5 is our reading.",),
)
TABLE_6 = PaperTable(
    "6",
    "Sparser schedules",
    ("fid", "time_saved"),
    (
        PaperRow(
            "sparser schedules with the CRF (rows unknown)",
            {"fid": UNKNOWN, "time_saved": Printed("over 50 %", 50.0, "section 4.2")},
            why_not="the schedules are unknown; table A.2 has the one that appendix G describes",
        ),
    ),
    ("The paper's text, as we have it, lacks this table.", "Section 4.2: at reduced image quality.", SAVED),
)
TABLE_A1 = PaperTable(
    "A.1",
    "Diversity of concurrent work",
    ("fid", "vendi", "vendi_drop"),
    (
        PaperRow("DMD-v2", {"fid": UNKNOWN, "vendi": UNKNOWN, "vendi_drop": UNKNOWN}, why_not=OTHER_MODEL),
        PaperRow("SDXL-Lightning", {"fid": UNKNOWN, "vendi": UNKNOWN, "vendi_drop": UNKNOWN}, why_not=OTHER_MODEL),
        PaperRow("LDM", {"fid": FID_LDM, "vendi": UNKNOWN}, FULL),
        PaperRow(
            "31 + CRF + 2",
            {"fid": FID_CRF, "vendi": UNKNOWN, "vendi_drop": Printed("4 %", 4.0, "section 4.1")},
            CRF_2,
        ),
    ),
    (
        ONLY_TWO,
        "Appendix E: LatentCRF retains much more of its teacher's diversity than DMD-v2, and about as much as "
        "SDXL-Lightning, at a better image quality.",
    ),
)
TABLE_A2 = PaperTable(
    "A.2",
    "A schedule of 20 steps",
    ("fid", "time_saved"),
    (
        PaperRow("LDM", {"fid": FID_LDM}, FULL),
        PaperRow("31 + CRF + 2", {"fid": FID_CRF, "time_saved": FASTER}, CRF_2),
        PaperRow(
            "19 + CRF + 1",
            {"fid": UNKNOWN, "time_saved": Printed("50 %", 50.0, "appendix G")},
            Counterpart("19/20 + crf + 1/20"),
        ),
    ),
    (
        ONLY_TWO,
        "Appendix G: the figures of 19 + CRF + 1 are on par with LatentCRF's and the LDM's, with more artifacts at "
        "times. Its 50 % is what the paper says, although 20 of 50 steps would save 60 %.",
        SAVED,
    ),
)
TABLES = {table.number: table for table in (TABLE_1, TABLE_2, TABLE_3, TABLE_4, TABLE_5, TABLE_6, TABLE_A1, TABLE_A2)}
