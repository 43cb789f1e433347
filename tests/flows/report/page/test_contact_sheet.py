"""The contact sheet's text: letters beyond ASCII are drawn, and long lines are cut to the width."""

import io

import pytest
from PIL import Image

from flows.report.page.contact_sheet import HEADING, MARGIN, arrange_sheet, cut_text, load_font, wrap_label

SIDE = 120


def draw(label: str, caption: str) -> Image.Image:
    images = [Image.new("RGB", (SIDE, SIDE), "white")]
    return Image.open(io.BytesIO(arrange_sheet([(label, images)], [caption]))).convert("RGB")


@pytest.mark.parametrize("letter", ["ü", "é", "ж", "Ω", "²"])
def test_letters_are_drawn_as_themselves(letter: str) -> None:
    missing = "\U0010fffd"  # in no font
    sheets = {text: draw("label", text).tobytes() for text in (letter, "u", "?", missing, "")}
    assert len(set(sheets.values())) == len(sheets)


def test_a_long_caption_is_cut_to_the_width_of_the_sheet() -> None:
    font = load_font()
    caption = "a very long caption " * 20
    cut = cut_text(caption, font, SIDE - 8)
    assert cut.endswith("…")
    assert caption.startswith(cut[:-1])
    assert SIDE - 8 - font.getlength("mm") < font.getlength(cut) <= SIDE - 8
    assert draw("label", caption).tobytes() == draw("label", cut).tobytes()


def test_a_long_label_stays_in_its_column() -> None:
    images = [Image.new("RGB", (SIDE, SIDE), "white")]
    columns = [("a label that is much wider than its column", images), ("", images)]
    sheet = Image.open(io.BytesIO(arrange_sheet(columns, [""]))).convert("L")
    assert sheet.size == (2 * SIDE, HEADING + SIDE + MARGIN)
    assert min(sheet.crop((0, 0, SIDE, HEADING)).tobytes()) < 128
    assert set(sheet.crop((SIDE, 0, 2 * SIDE, HEADING)).tobytes()) == {255}


@pytest.mark.parametrize(
    ("label", "lines"),
    [
        ("full 50", ["full 50"]),
        ("31 + CRF + 2 placed", ["31 + CRF + 2", "placed"]),
        ("33-step DPM-Solver++ from the very first step", ["33-step", "DPM-Solver++ f…"]),
        ("averyveryverylongsingleword", ["averyveryverylo…"]),
    ],
)
def test_a_label_takes_two_lines_at_most(label: str, lines: list[str]) -> None:
    assert wrap_label(label, load_font(), SIDE - 8).splitlines() == lines


def test_a_short_text_is_left_alone() -> None:
    assert cut_text("two\nlines", load_font(), 500) == "two lines"
