"""Draw a report: from report.json and the stored samples to the page, its pictures and its tables as files."""

from typing import Any

from crf.evaluation.convergence import measure_convergence
from crf.model.latent_crf import LatentCRF
from crf.noise import sample_noise
from crf.schedule import Schedule
from crf.teacher.teacher import Teacher
from flows.report.page.contact_sheet import arrange_sheet
from flows.report.page.curves import draw_convergence, draw_losses, draw_variance, measure_variance
from flows.report.page.exports import make_csv, make_markdown
from flows.report.page.pareto import describe_points, draw_pareto
from flows.report.page.pictures import make_thumbnail, read_values
from flows.report.page.rendering import Chart, render_page
from flows.report.page.sheets import SHOWN_CAPTIONS, arrange_sheets, find_first_noises
from flows.report.page.svg import embed_svg, save_png, save_svg, use_style
from flows.report.training_losses import Losses
from storage import LatentStore, locations

DRAWN = ("report.html", "report.md", "report.csv", "pareto.png", "pareto.svg", "contact_sheet.png")
"""Names of the files that ``draw_report`` writes beside report.json."""


def draw_report(
    url: str,
    report: dict[str, Any],
    store: LatentStore,
    teacher: Teacher,
    losses: Losses,
    crf: LatentCRF | None = None,
    trajectories: LatentStore | None = None,
) -> None:
    """Write ``DRAWN`` to ``url``. A file that is already there stays as it is.

    Args:
        url: URL of the evaluation's output.
        report: The contents of report.json.
        store: The evaluation's samples.
        teacher: Decodes the shown samples.
        losses: Training stage -> loss records; empty for no chart.
        crf: The evaluated CRF, in evaluation mode and on the teacher's device, for the chart of its convergence.
            Default None: no chart.
        trajectories: A teacher's store with trajectories, for the chart of variance by step. Default None: no chart.
    """
    sheets = arrange_sheets(report, store, teacher)
    with use_style():
        pareto = draw_pareto(report, "latent_mse", "latent MSE to the teacher's own steps")
        svg, png = save_svg(pareto), save_png(pareto)
        costs = [chart_pareto(report, svg), *chart_converged(report)]
        charts = chart_losses(losses)
        if crf is not None:
            charts.append(chart_convergence(report, store, teacher, crf))
        if trajectories is not None:
            charts.append(chart_variance(trajectories))
    columns = [(label, [make_thumbnail(x_CHW) for x_CHW in column]) for label, column in sheets.shown]
    files = {
        "report.html": render_page(report, costs, charts, sheets).encode(),
        "report.md": make_markdown(report).encode(),
        "report.csv": make_csv(report).encode(),
        "pareto.png": png,
        "pareto.svg": svg,
        "contact_sheet.png": arrange_sheet(columns, sheets.captions),
    }
    for name in DRAWN:
        locations.write_new(locations.join(url, name), files[name])


def chart_pareto(report: dict[str, Any], svg: bytes) -> Chart:
    title = "Cost against fidelity"
    note = (
        "Lower and further left is better. Bars: 95 % intervals over captions. Methods at one cost are drawn side by "
        "side. Dashed: how far the teacher's own steps are from convergence; differences far below it are its "
        "discretisation, not quality."
    )
    return Chart(title, note, embed_svg(svg, title, describe_points(report, "latent_mse")))


def chart_converged(report: dict[str, Any]) -> list[Chart]:
    """Chart the distances to the converged reference, if the report has them."""
    tooltips = describe_points(report, "converged_mse")
    if not tooltips:
        return []
    title = "Cost against distance to convergence"
    note = "Below the dashed line, a method is nearer to the converged reference than the teacher's own steps are."
    figure = draw_pareto(report, "converged_mse", "latent MSE to the converged reference")
    return [Chart(title, note, embed_svg(save_svg(figure), title, tooltips))]


def chart_losses(losses: Losses) -> list[Chart]:
    if not losses:
        return []
    title = "Training"
    note = "Mean squared error to the clean latents in each stage; moving average."
    return [Chart(title, note, embed_svg(save_svg(draw_losses(losses)), title, {}))]


def chart_convergence(report: dict[str, Any], store: LatentStore, teacher: Teacher, crf: LatentCRF) -> Chart:
    """Chart the CRF's convergence at the states that it meets in the evaluation's first captions."""
    row = next(row for row in report["rows"] if row["kind"] == "crf")
    latents = store[f"latents_{row['key']}"]
    height, width, channels = latents.shape[1:]
    places = find_first_noises(store.index["id"].to_pylist())[:SHOWN_CAPTIONS]
    captions = store.index["caption"].take(places).to_pylist()
    seeds = [int(seed) for seed in read_values(store, "seed")[places]]
    noise_BCHW = sample_noise(seeds, (channels, height, width))
    guidance_scale = report["made"]["parameters"]["guidance_scale"]
    schedule = Schedule.parse(row["schedule"])
    changes_BK = measure_convergence(teacher, crf, schedule, captions, noise_BCHW, guidance_scale).numpy()
    title = "Convergence of the CRF"
    note = "How far each mean-field update moves the latents (the paper's Fig. A.2). Thin: single captions."
    figure = draw_convergence(changes_BK, crf.settings.iterations)
    return Chart(title, note, embed_svg(save_svg(figure), title, {}))


def chart_variance(trajectories: LatentStore) -> Chart:
    state_NS, x0_NS = (measure_variance(trajectories, f"trajectory_{name}") for name in ("state", "x0"))
    title = "Variance by step"
    note = "How much the teacher's latents vary within a sample (the paper's Fig. A.1). Bands: 10th to 90th percentile."
    return Chart(title, note, embed_svg(save_svg(draw_variance(state_NS, x0_NS)), title, {}))
