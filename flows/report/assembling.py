"""Assemble report.json, from which everything else in a report is drawn."""

from typing import Any

from crf.evaluation.methods import REFERENCE, WITHOUT_CRF, Method
from flows.evaluation.methods import fingerprint_front
from flows.parameters.evaluation import EvaluateParameters
from flows.report.environment import read_commit, read_versions
from flows.report.protocol import compute_protocol_id, describe_protocol
from flows.report.rows import compare_with_baseline, read_rows
from flows.stage import Work, parse_fingerprint
from storage import LatentStore

VERSION = 2


def assemble_report(
    params: EvaluateParameters,
    work: Work,
    store: LatentStore,
    real: LatentStore,
    captions: list[str],
    methods: tuple[Method, ...],
    costs: dict[str, Any],
    environment: dict[str, Any],
    features: dict[str, Any],
) -> dict[str, Any]:
    """Compute all of a report's numbers from the stored samples, as JSON types.

    Args:
        params: The evaluation's parameters.
        work: The evaluation's identity and URL.
        store: The samples.
        real: The real images' features.
        captions: The id of each sample's caption.
        methods: The methods that were compared.
        costs: Method key -> its cost.
        environment: Device, threads and dtype of the costs.
        features: Description of the features.
    """
    baseline = work.identity.parameters["baseline"]
    rows = read_rows(store, methods, costs, real, captions)
    comparisons = compare_with_baseline(store, rows, baseline, captions)
    count = len(set(captions))
    protocol = describe_protocol(params, work.identity, features, count, len(store), int(real.valid.sum()))
    inputs = work.identity.inputs
    return {
        "version": VERSION,
        "summary": summarize(rows, comparisons, count),
        "protocol_id": compute_protocol_id(protocol),
        "protocol": protocol,
        "subject": {
            "teacher": {n.removeprefix("teacher."): v for n, v in inputs.items() if n.startswith("teacher.")},
            "crf": parse_fingerprint(params.crf) if params.crf else None,
            "front": fingerprint_front(params.front) if params.front else None,
        },
        "environment": {"packages": read_versions(), **environment, "commit": read_commit()},
        "baseline": baseline,
        "captions": count,
        "samples": len(store),
        "rows": rows,
        "comparisons": comparisons,
    }


def summarize(rows: list[dict[str, Any]], comparisons: list[dict[str, Any]], captions: int) -> str:
    """Say in one sentence what the report found about its best method.

    That is a CRF inside a schedule, which is compared with the schedule without it; or else the best of the front, of
    the CRF's, or of any.
    """
    by_key = {row["key"]: row for row in rows}
    candidates = [by_key[found["key"]] for found in comparisons]
    if not candidates:
        return f"{len(rows)} methods on {captions} captions."
    order = ("crf", "front") if WITHOUT_CRF in by_key else ("front", "crf")
    kinds = [kind for kind in order if any(row["kind"] == kind for row in candidates)]
    best = min(
        (row for row in candidates if row["kind"] in kinds[:1] or not kinds),
        key=lambda row: row["latent_mse"]["geometric_mean"],
    )
    found = next(found for found in comparisons if found["key"] == best["key"])
    saved = by_key[REFERENCE]["passes"] / best["passes"]
    interval = "" if found["low"] is None else f" (95 % interval {found['low']:.2f} to {found['high']:.2f})"
    return (
        f"{best['label']} takes {saved:.2f}× fewer U-Net passes than {by_key[REFERENCE]['label']}; its latent MSE is "
        f"{found['ratio']:.2f} times that of {by_key[found['baseline']]['label']}{interval}, on {captions} captions"
        f"{'' if found['significant'] else ', which is not significant'}."
    )
