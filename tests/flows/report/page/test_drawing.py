"""The page: whole HTML that needs no other file, shows every figure and escapes every text."""

import base64
import io
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from crf.model.config import LatentCRFConfig
from crf.model.latent_crf import LatentCRF
from crf.teacher.teacher import Teacher
from flows.report.page.drawing import DRAWN, draw_report
from flows.report.page.figures import make_cell
from storage import ArraySpec, LatentStore
from storage.store.index import index_tables
from tests.support.hand_made_report import CAPTIONS, METHODS, NOISES, make_report, make_samples
from tests.support.stores import make_rows

VOID = {"meta", "img", "br", "link", "use", "path"}
LOSSES = {"train": [{"mse": 1 / step} for step in range(1, 60)], "distill": [{"mse": 0.1}] * 60}


class Page(HTMLParser):
    """What is on a page: its text, its elements' attributes, and whether each element is closed."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.texts: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] != "style":
            self.texts.append(data.strip())

    @property
    def text(self) -> str:
        return "\n".join(self.texts)

    def list_values(self, tag: str, name: str) -> list[str]:
        return [value for found, attribute, value in self.attributes if (found, attribute) == (tag, name)]


def make_trajectories(url: Path) -> LatentStore:
    spec = ArraySpec((50, 4, 4, 8), "float16", ("step", "y", "x", "channel"))
    names = ("trajectory_state", "trajectory_x0")
    store = LatentStore.create(
        str(url), dict.fromkeys(names, spec), index_tables(make_rows(3), 3), shard_rows=3, provenance={}
    )
    values = np.random.default_rng(1).standard_normal((3, 50, 4, 4, 8)).astype(np.float16)
    valid = np.array([True, True, False])
    seeds = np.arange(3, dtype=np.uint64)
    store.write_shard(0, dict.fromkeys(names, values), valid=valid, seed=seeds, rejected={2: "bad"}, timing={})
    store.seal()
    return LatentStore.open(str(url))


@pytest.fixture(scope="module")
def drawn(tiny_teacher: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a report with every chart."""
    folder = tmp_path_factory.mktemp("report")
    teacher = Teacher.load(tiny_teacher)
    crf = LatentCRF(LatentCRFConfig(height=4, width=4, channels=8, text_width=16, hidden=8, filters=8)).eval()
    store, trajectories = make_samples(folder / "samples"), make_trajectories(folder / "trajectories")
    draw_report(str(folder), make_report(), store, teacher, LOSSES, crf, trajectories)
    return folder


@pytest.fixture(scope="module")
def page(drawn: Path) -> Page:
    return Page((drawn / "report.html").read_text())


def test_every_product_is_written(drawn: Path) -> None:
    assert all((drawn / name).stat().st_size > 100 for name in DRAWN)
    for name in ("pareto.png", "contact_sheet.png"):
        with Image.open(drawn / name) as image:
            image.load()
            assert image.width > 150


def test_the_page_is_whole(page: Page) -> None:
    assert page.open == []
    assert page.list_values("html", "lang") == ["en"]


def test_the_page_needs_no_other_file(drawn: Path, page: Page) -> None:
    references = [v for _, name, v in page.attributes if name in ("src", "srcset", "href", "xlink:href", "data")]
    assert references
    assert all(value.startswith(("data:image/", "#")) for value in references)
    html = (drawn / "report.html").read_text()
    assert re.findall(r"@import|<script|<link|<iframe", html) == []
    assert {reference[0] for reference in re.findall(r"url\(([^)]+)", html)} == {"#"}
    assert {v for _, name, v in page.attributes if v.startswith("http") and not name.startswith("xmlns")} == set()


def test_every_reference_within_the_page_has_its_element(drawn: Path, page: Page) -> None:
    html = (drawn / "report.html").read_text()
    wanted = {value[1:] for _, name, value in page.attributes if name == "xlink:href"}
    wanted |= set(re.findall(r"url\(#([^)]+)\)", html))
    assert wanted
    assert wanted == {value for _, name, value in page.attributes if name == "id"}


def test_every_picture_decodes(page: Page) -> None:
    pictures = page.list_values("img", "src")
    methods = 5  # two of the front and one of each other kind
    contact, extremes, diversity = len(CAPTIONS) * (1 + 2 * methods), methods * 2 * 2 * 3, NOISES * (1 + methods)
    assert len(pictures) == contact + extremes + diversity
    assert len(page.list_values("img", "alt")) == len(pictures)
    for url in set(pictures):
        image = Image.open(io.BytesIO(base64.b64decode(url.removeprefix("data:image/webp;base64,"))))
        image.load()
        assert image.size == (32, 32)


def test_every_figure_of_the_report_is_shown(page: Page) -> None:
    shown = set(page.texts)
    report = make_report()
    for row in report["rows"]:
        assert row["label"] in shown
        for path, value, scale in (
            ("passes", "", 1.0),
            ("evaluations", "", 1.0),
            ("flops", "", 1e-12),
            ("seconds", "median", 1.0),
            ("latent_mse", "mean", 1e3),
            ("latent_mse.geometric_mean", "", 1e3),
            ("latent_mse.p95", "", 1e3),
            ("converged_mse", "mean", 1e3),
            ("psnr", "mean", 1.0),
            ("feature_distance", "mean", 1.0),
            ("distance_to_real.value", "", 1.0),
            ("distance_to_real", "difference", 1.0),
            ("clip_score", "", 1.0),
            ("caption_accuracy", "", 1.0),
            ("vendi", "mean", 1.0),
        ):
            cell = make_cell(row, path, value, scale)
            assert not cell.text or cell.text in shown, (row["key"], path)
            assert not cell.interval or cell.interval in shown, (row["key"], path)
    assert report["summary"] in shown
    assert report["protocol_id"] in shown
    assert "CPU <2 cores>, float32" in shown
    assert {"0.617", "1.02", "7.35", "0.012", "0.025", "1.000", "4 of 5", "2 of 5"} <= shown


def test_what_the_report_lacks_has_no_column(page: Page) -> None:
    assert "CLIP score" in page.texts
    assert not {"precision", "KID to real", "ST-LPIPS", "peak memory, GB"} & set(page.texts)


def test_captions_are_shown_as_they_are(drawn: Path, page: Page) -> None:
    assert all(caption in page.texts for caption in CAPTIONS)
    assert "<script" not in (drawn / "report.html").read_text()


def test_a_chart_names_its_points(page: Page) -> None:
    for key, label, *_ in METHODS[1:-1]:
        row = next(row for row in make_report()["rows"] if row["key"] == key)
        described = f"{label}: {row['passes']:.0f} passes, {make_cell(row, 'latent_mse', 'mean', 1e3)} ×10⁻³"
        assert described in page.texts


def test_the_command_has_the_options_that_were_used(page: Page) -> None:
    command = next(text for text in page.texts if text.startswith("latentcrf evaluate"))
    assert "--guidance-scale 4.0" in command
    assert "--crf CRF" in command
    assert "--front" not in command
    assert "--lead" not in command  # it is not an option of every evaluation


def test_without_crf_losses_and_trajectories_the_page_has_fewer_charts(
    drawn: Path, tiny_teacher: Path, tmp_path: Path
) -> None:
    report: dict[str, Any] = make_report()
    report["rows"] = [row for row in report["rows"] if row["kind"] in ("reference", "sampler", "floor")]
    report |= {"comparisons": [], "subject": {**report["subject"], "crf": None}}
    draw_report(str(tmp_path), report, LatentStore.open(str(drawn / "samples")), Teacher.load(tiny_teacher), {})
    page = Page((tmp_path / "report.html").read_text())
    assert "Cost against fidelity" in page.texts
    assert not {"Training", "Convergence of the CRF", "Variance by step", "Paired comparisons"} & set(page.texts)
