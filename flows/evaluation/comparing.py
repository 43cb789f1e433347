"""Compare two evaluations sample by sample: which method's error has changed, and whether that is certain."""

from dataclasses import asdict
from typing import Any

import numpy as np
import numpy.typing as npt

from crf.statistics.comparisons import adjust_holm, compare_errors, estimate_difference
from flows.report.assembling import VERSION
from flows.report.protocol import list_differences
from flows.report.rows import SIGNIFICANT
from storage import LatentStore, locations
from storage.errors import UserError


def compare_evaluations(
    first: str, second: str, method: str | None = None, tolerance: float = 0.0, force: bool = False
) -> dict[str, Any]:
    """Compare the errors of two evaluations' common methods on their common samples.

    A method has regressed if its whole interval lies above 1 + ``tolerance``, where the interval is that of the ratio
    of its geometric mean latent MSE in the second evaluation to that in the first.

    Args:
        first: URL of the evaluation to compare with.
        second: URL of the evaluation to judge.
        method: Key of the method to compare. Default: all that both have.
        tolerance: Relative increase of the geometric mean latent MSE that is accepted.
        force: Whether to compare evaluations of different protocols or teachers.

    Returns:
        What ``latentcrf compare --json`` prints.

    Raises:
        UserError: One of them is not a finished evaluation, they cannot be compared, or they share too little.
    """
    reports, stores = zip(*(open_evaluation(url) for url in (first, second)), strict=True)
    differences = find_differences(*reports)
    if differences and not force:
        raise UserError(
            "two evaluations of one protocol and one teacher",
            f"other values of {'; '.join(differences)}",
            "evaluate both alike, or add --force to compare them anyway",
        )
    rows = [{row["key"]: row for row in report["rows"]} for report in reports]
    keys = choose_keys(stores, list(rows[0]), method)
    places, captions_N = join_samples(*stores)
    lines = []
    for key in keys:
        a_N, b_N = (read_values(store, f"latent_mse_{key}", where) for store, where in zip(stores, places, strict=True))
        ratio = compare_errors(b_N, a_N, captions_N)
        a_N, b_N = (read_values(store, f"psnr_{key}", where) for store, where in zip(stores, places, strict=True))
        psnr = estimate_difference(b_N, a_N, captions_N).to_dict("mean")
        lines.append(
            {
                "key": key,
                "label": rows[1][key]["label"],
                "schedules": [each[key]["schedule"] for each in rows],
                **asdict(ratio),
                "psnr_difference": psnr,
                "regressed": ratio.low is not None and ratio.low > 1 + tolerance,
            }
        )
    tested = [line for line in lines if line["p"] is not None]
    for line, p_holm in zip(tested, adjust_holm([line["p"] for line in tested]), strict=True):
        line |= {"p_holm": p_holm, "significant": p_holm < SIGNIFICANT}
    return {
        "first": stores[0].url,
        "second": stores[1].url,
        "protocol_ids": [report["protocol_id"] for report in reports],
        "comparable": not differences,
        "differences": differences,
        "captions": len(np.unique(captions_N)),
        "samples": len(captions_N),
        "tolerance": tolerance,
        "methods": lines,
        "regressed": [line["key"] for line in lines if line["regressed"]],
    }


def open_evaluation(url: str) -> tuple[dict[str, Any], LatentStore]:
    """Open a finished evaluation's report and samples, by the URL of its output or of its report."""
    for name in ("/report.json", "/report.html"):
        url = url.removesuffix(name)
    place = locations.join(url, "report.json")
    if not locations.exists(place):
        raise UserError("the output of evaluate (a folder with report.json)", f"none at {url}", "check the URL")
    report = dict(locations.read_json(place))
    if report.get("version") != VERSION:
        found = f"{report.get('version')} at {url}"
        raise UserError(f"a report of version {VERSION}", found, "evaluate again with this version of latentcrf")
    return report, LatentStore.open(url)


def find_differences(first: dict[str, Any], second: dict[str, Any]) -> list[str]:
    """List the fields of the protocol, and the parts of the teacher, in which two reports differ.

    The teacher counts because the errors are distances to its own images.
    """
    protocols = list_differences(first["protocol"], second["protocol"])
    return protocols + list_differences(first["subject"]["teacher"], second["subject"]["teacher"], "teacher")


def choose_keys(stores: tuple[LatentStore, ...], order: list[str], method: str | None) -> list[str]:
    """List the methods that both evaluations have errors of, or only ``method``. Raises UserError if there is none."""
    names = set(stores[0].names) & set(stores[1].names)
    common = [key for key in order if f"latent_mse_{key}" in names]
    if method is None and common:
        return common
    if method in common:
        return [method]
    raise UserError(
        "a method that both evaluations compare with their teacher's 50 steps",
        method or "none",
        f"choose among {', '.join(common)}" if common else "evaluate both with a common method",
    )


def join_samples(first: LatentStore, second: LatentStore) -> tuple[list[list[int]], npt.NDArray[Any]]:
    """Find the samples that both evaluations have: their places in each, and the id of each one's caption."""
    indices = [store.index.select(["id", "uri"]).to_pylist() for store in (first, second)]
    places = [{line["id"]: place for place, line in enumerate(index)} for index in indices]
    common = [line for line in indices[0] if line["id"] in places[1]]
    if not common:
        raise UserError("evaluations of common captions", "none in both", "evaluate both on the same captions")
    return [[each[line["id"]] for line in common] for each in places], np.array([line["uri"] for line in common])


def read_values(store: LatentStore, name: str, places: list[int]) -> npt.NDArray[Any]:
    """Read the values of an array at some places, (N,)."""
    values: npt.NDArray[Any] = np.asarray(store[name][:])[places]
    return values
