"""Choose and arrange the page's pictures: contact sheet, best and worst captions, several noises of one caption."""

import re
from dataclasses import dataclass
from typing import Any

import numpy as np

from crf.evaluation.methods import REFERENCE
from crf.teacher.teacher import Teacher
from flows.report.page.figures import Row, format_number, look_up
from flows.report.page.pictures import Samples, decode_samples, embed_image, magnify_difference, read_values
from storage import LatentStore

SHOWN_CAPTIONS = 8
SHOWN_METHODS = 5
SHOWN_EXTREMES = 3
SHOWN_DIVERSE, SHOWN_NOISES = 3, 8
OTHER_NOISE = re.compile(r"/noise-\d+$")
THOUSANDTHS = 1e3


@dataclass(frozen=True)
class Picture:
    """A picture: data URL, what it shows, and a line below it."""

    url: str
    alt: str
    below: str = ""


@dataclass(frozen=True)
class Strip:
    """Pictures side by side under one caption."""

    caption: str
    pictures: list[Picture]


@dataclass(frozen=True)
class Sheets:
    """All pictures of the page.

    Args:
        labels: The shown methods' labels.
        contact: One strip per caption: the teacher's image, then each method's image and its difference.
        extremes: (label, nearest, farthest) per method; a strip is the teacher's image, the method's, the difference.
        diversity: (caption, lines); a line is a label and the images of several noises, first the teacher's.
        shown: Per column of the contact sheet, its label and its images as pixels, for the PNG.
        captions: The captions of ``shown``.
    """

    labels: list[str]
    contact: list[Strip]
    extremes: list[tuple[str, list[Strip], list[Strip]]]
    diversity: list[tuple[str, list[tuple[str, list[Picture]]]]]
    shown: list[tuple[str, list[Any]]]
    captions: list[str]


def arrange_sheets(report: dict[str, Any], store: LatentStore, teacher: Teacher) -> Sheets:
    """Choose methods and captions, decode their samples, and arrange them."""
    rows = choose_rows(report["rows"], store)
    captions, ids = (store.index[name].to_pylist() for name in ("caption", "id"))
    firsts = find_first_noises(ids)
    groups = [group[:SHOWN_NOISES] for group in group_noises(ids)[:SHOWN_DIVERSE]]
    ranked = {row["key"]: rank_captions(store, row["key"], firsts) for row in rows}
    shared = {*firsts[:SHOWN_CAPTIONS], *(place for group in groups for place in group)}
    places = {key: {*shared, *nearest, *farthest} for key, (nearest, farthest) in ranked.items()}
    samples = decode_samples(store, teacher, {REFERENCE: shared.union(*places.values()), **places})
    contact = firsts[:SHOWN_CAPTIONS]
    return Sheets(
        labels=[row["label"] for row in rows],
        contact=[arrange_captions(samples, rows, place, captions[place]) for place in contact],
        extremes=[arrange_extremes(samples, store, row, ranked[row["key"]], captions) for row in rows],
        diversity=[(captions[group[0]], arrange_noises(samples, report["rows"], rows, group)) for group in groups],
        shown=[
            (label, [samples[key, place] for place in contact])
            for key, label in [(REFERENCE, "teacher"), *((row["key"], row["label"]) for row in rows)]
        ],
        captions=[captions[place] for place in contact],
    )


def choose_rows(rows: list[Row], store: LatentStore) -> list[Row]:
    """Choose the methods to show: up to two of the search's front, then the nearest of each other kind.

    Of the front, these are its nearest method and its cheapest. A kind of which the store has no samples is left
    out.
    """
    kinds = ("front", "crf", "sampler", "control")
    stored = [row for row in rows if f"latents_{row['key']}" in store.names and row["kind"] in kinds]
    by_kind = {kind: [row for row in stored if row["kind"] == kind] for kind in kinds}
    chosen = [min(members, key=get_error) for members in by_kind.values() if members]
    if by_kind["front"]:
        chosen.insert(1, min(by_kind["front"], key=lambda row: row["passes"]))
    unique = {row["key"]: row for row in chosen}
    return list(unique.values())[:SHOWN_METHODS]


def get_error(row: Row) -> float:
    return float(row["latent_mse"]["geometric_mean"])


def find_first_noises(ids: list[str]) -> list[int]:
    """Find the row of each caption's first noise."""
    return [row for row, name in enumerate(ids) if not OTHER_NOISE.search(name)]


def group_noises(ids: list[str]) -> list[list[int]]:
    """Group the rows of captions that have several noises; the rows of one caption in order."""
    groups: dict[str, list[int]] = {}
    for place, name in enumerate(ids):
        groups.setdefault(OTHER_NOISE.sub("", name), []).append(place)
    return [group for group in groups.values() if len(group) > 1]


def rank_captions(store: LatentStore, key: str, firsts: list[int]) -> tuple[list[int], list[int]]:
    """Rank captions by the latent MSE of their first noise; return the rows of the nearest and of the farthest.

    No row is in both, even if there are few captions.
    """
    errors = read_values(store, f"latent_mse_{key}")[firsts]
    order = [firsts[number] for number in np.argsort(errors, kind="stable")]
    count = min(SHOWN_EXTREMES, len(order) // 2)
    return order[:count], order[::-1][:count]


def arrange_captions(samples: Samples, rows: list[Row], place: int, caption: str) -> Strip:
    """Arrange a line of the contact sheet."""
    pictures = [Picture(embed_image(samples[REFERENCE, place]), "teacher")]
    for row in rows:
        pictures += compare_pictures(samples, row, place)
    return Strip(caption, pictures)


def compare_pictures(samples: Samples, row: Row, place: int) -> list[Picture]:
    """Return a method's image and its difference from the teacher's."""
    own, full = samples[row["key"], place], samples[REFERENCE, place]
    return [
        Picture(embed_image(own), row["label"]),
        Picture(embed_image(magnify_difference(own, full)), f"{row['label']}, difference ×8"),
    ]


def arrange_extremes(
    samples: Samples, store: LatentStore, row: Row, ranked: tuple[list[int], list[int]], captions: list[str]
) -> tuple[str, list[Strip], list[Strip]]:
    """Arrange a method's nearest and farthest captions, with the latent MSE of each."""
    errors = read_values(store, f"latent_mse_{row['key']}") * THOUSANDTHS

    def arrange(place: int) -> Strip:
        teachers = Picture(embed_image(samples[REFERENCE, place]), "teacher", "teacher")
        own, difference = compare_pictures(samples, row, place)
        error = f"latent MSE {format_number(float(errors[place]))} ×10⁻³"
        below = (teachers, Picture(own.url, own.alt, row["label"]), Picture(difference.url, difference.alt, error))
        return Strip(captions[place], list(below))

    nearest, farthest = ranked
    return row["label"], [arrange(place) for place in nearest], [arrange(place) for place in farthest]


def arrange_noises(
    samples: Samples, every_row: list[Row], rows: list[Row], group: list[int]
) -> list[tuple[str, list[Picture]]]:
    """Arrange one caption's noises: a line of the teacher's images, then one of each method's.

    A line's label holds the method's Vendi score over all captions, if the report has one.
    """
    full = next(row for row in every_row if row["key"] == REFERENCE)
    lines = []
    for row, name in [(full, "teacher"), *((row, row["label"]) for row in rows)]:
        vendi = look_up(row, "vendi.mean")
        label = f"{name} · Vendi {format_number(vendi)}" if vendi else name
        lines.append((label, [Picture(embed_image(samples[row["key"], place]), name) for place in group]))
    return lines
