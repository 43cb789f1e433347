"""Write what a search found: schedule.json, which programs use, and for people search.json and a plot of it."""

from typing import Any

from crf.front import Front, FrontPoint
from crf.schedule import TEACHER_STEPS
from crf.statistics.comparisons import adjust_holm, compare_errors, compute_kendall_tau
from crf.statistics.intervals import log_errors, summarize_errors
from flows.parameters.searching import SearchParameters
from flows.report.page.pareto import draw_pareto
from flows.report.page.svg import save_png, save_svg, use_style
from flows.searching.measuring import Round
from flows.searching.rounds import SearchResult
from flows.stage import Work, describe_provenance
from storage import locations
from storage.records import hash_object
from storage.seals import Manifest, seal_output

PRODUCTS = ("schedule.json", "search.json", "front.png", "front.svg")


def write_search(params: SearchParameters, work: Work, result: SearchResult) -> None:
    """Write the front and the test's table, and seal the output."""
    record = describe_search(params, result)
    record["made"] = describe_provenance(work)
    with use_style():
        plot = draw_pareto(record, "latent_mse", f"latent MSE to the teacher's {TEACHER_STEPS} steps")
        png, svg = save_png(plot), save_svg(plot)
    contents = (result.front.format().encode(), locations.encode_json(record), png, svg)
    for name, content in zip(PRODUCTS, contents, strict=True):
        locations.write_bytes(locations.join(work.url, name), content)
    seal_output(work.url, Manifest(objects={name: hash_object(locations.join(work.url, name)) for name in PRODUCTS}))


def describe_search(params: SearchParameters, result: SearchResult) -> dict[str, Any]:
    """Return the test's table, the comparisons with the front, and how well calibration foretold the test."""
    counts = {str(each.schedule): count for count, pool in result.rivals.items() for each in pool}
    rows = [describe_row(result, text, counts[text]) for text in result.tested.errors]
    return {
        "summary": summarize(result),
        "captions": len(set(result.tested.captions)),
        "limit": result.limit,
        "rows": [describe_reference(params, result.tested), *rows],
        "comparisons": compare_with_front(result),
        "to_floor": compare_with_floor(result),
        "kendall_tau": average_tau(result),
        "measured": {"first": result.first.url, "select": result.selected.url, "test": result.tested.url},
    }


def describe_reference(params: SearchParameters, tested: Round) -> dict[str, Any]:
    """Return the row of the teacher's own 50 steps: their distance to the converged reference is the floor."""
    summary = summarize_errors(tested.converged["50/50"], tested.captions)
    passes = TEACHER_STEPS * (2 if params.guidance_scale > 1 else 1)
    named = {"key": "full_50", "label": "full 50", "schedule": "50/50", "kind": "reference", "family": "teacher"}
    return {**named, "passes": passes, "latent_mse": None, "converged_mse": vars(summary)}


def describe_row(result: SearchResult, text: str, count: int) -> dict[str, Any]:
    """Return the row of one schedule of the test."""
    tested, family = result.tested, result.families[text]
    on_front = {point.schedule: point for point in result.front.points}
    kind = "front" if text in on_front else {"crf": "crf", "x0": "control"}.get(family, "sampler")
    return {
        "key": text,
        "label": f"{count} {family}",
        "schedule": text,
        "kind": kind,
        "family": family,
        "evaluations": count,
        "passes": result.passes[text],
        "latent_mse": vars(summarize_errors(tested.errors[text], tested.captions)),
        "converged_mse": vars(summarize_errors(tested.converged[text], tested.captions)),
    }


def compare_with_front(result: SearchResult) -> list[dict[str, Any]]:
    """Compare each rival with the front's schedule of the same cost, paired, with p-values adjusted for them all."""
    tested, found = result.tested, []
    for point in result.front.points:
        baseline = point.schedule
        for text in (str(each.schedule) for each in result.rivals[point.evaluations]):
            if text == baseline:
                continue
            ratio = compare_errors(tested.errors[text], tested.errors[baseline], tested.captions)
            found.append({"key": text, "baseline": baseline, **vars(ratio)})
    adjusted = adjust_holm([each["p"] for each in found])
    return [{**each, "p_holm": p, "significant": p < 0.05} for each, p in zip(found, adjusted, strict=True)]


def compare_with_floor(result: SearchResult) -> list[dict[str, Any]]:
    """Compare each schedule of the front with the 50 steps' own distance to the converged reference, paired."""
    tested = result.tested
    floor_N = tested.converged["50/50"]
    return [
        {"key": point.schedule, **vars(compare_errors(tested.errors[point.schedule], floor_N, tested.captions))}
        for point in result.front.points
    ]


def average_tau(result: SearchResult) -> float | None:
    """Average Kendall's tau of the first round and the test over the numbers of evaluations.

    Within one number, because more evaluations are better in both for a reason that needs no search.
    """
    taus = []
    for pool in result.rivals.values():
        both = [text for text in (str(each.schedule) for each in pool) if text in result.first.errors]
        if len(both) > 1:
            rounds = (result.first, result.tested)
            ranked = [[float(log_errors(each.errors[text]).mean()) for text in both] for each in rounds]
            taus.append(compute_kendall_tau(*ranked))
    return sum(taus) / len(taus) if taus else None


def summarize(result: SearchResult) -> str:
    """Say in one sentence what the search found, with the test's figures."""
    front, tested = result.front, result.tested
    point = find_recommended(front)
    if point is None:
        return f"No schedule stays within {1e3 * result.limit:.2f}e-3 of the teacher's {TEACHER_STEPS} steps."
    full = TEACHER_STEPS * (2 if front.guidance_scale > 1 else 1)
    measured = summarize_errors(tested.errors[point.schedule], tested.captions)
    floor = float(tested.converged["50/50"].mean())
    return (
        f"{point.evaluations} evaluations, {full / point.passes:.1f}x fewer passes: '{point.schedule}' ends "
        f"{1e3 * measured.mean:.2f}e-3 from the teacher's {TEACHER_STEPS} steps, which are {1e3 * floor:.2f}e-3 from "
        "convergence on the same captions; run it with generate --schedule schedule.json"
    )


def find_recommended(front: Front) -> FrontPoint | None:
    """Return the point that the front recommends."""
    return next((point for point in front.points if point.evaluations == front.recommended), None)
