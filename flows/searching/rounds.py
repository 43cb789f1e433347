"""The rounds of a search: race the candidates, choose the front, test it once."""

from dataclasses import dataclass

from crf.front import Front, FrontPoint, hash_caption
from crf.sampling.paths import list_timesteps
from crf.schedule import Schedule
from crf.search.candidates import Candidate, Space, list_candidates, vary
from crf.search.racing import choose, drop_worse, recommend
from crf.statistics.intervals import summarize_errors
from flows.parameters.searching import SearchParameters
from flows.progress import Progress
from flows.searching.captions import list_seen
from flows.searching.measuring import Pools, Round, measure, record_round
from flows.searching.rivals import list_rivals
from flows.searching.trajectories import make_space
from flows.shards.teachers import fingerprint_parts
from flows.stage import Work

FIRST_SURVIVORS, SECOND_SURVIVORS = 6, 3
VARIATIONS, VARIED_UP_TO = 8, 17  # how many, and up to how many evaluations: beyond, the best paths are hard to better


@dataclass(frozen=True)
class SearchResult:
    """A finished search: the front, and the errors of each round.

    ``limit``: error within which the front's recommendation stays. ``families`` and ``passes``: by schedule.
    ``rivals``: what was tested, by number of evaluations, with the front's own schedule.
    """

    front: Front
    limit: float
    families: dict[str, str]
    rivals: Pools
    passes: dict[str, float]
    first: Round
    selected: Round
    tested: Round


def run_rounds(params: SearchParameters, work: Work, progress: Progress) -> SearchResult:
    """Run all rounds. Each is a ``measure`` output of its own, so an interrupted search goes on where it was."""
    space, done = make_space(params), work.done

    def finish(number: int, pools: Pools, measured: Round) -> None:
        nonlocal done
        record_round(work.url, number, pools, measured)
        if number > done:
            progress.advance()
            done = number

    pools = {count: list_candidates(space, count) for count in params.evaluations}
    families = name_families(pools)
    first = measure(params, "calibrate", pools, limit=params.first_captions)
    finish(1, pools, first)
    pools = {count: keep(pool, first, FIRST_SURVIVORS) for count, pool in pools.items()}
    for count in pools:
        if count <= VARIED_UP_TO:
            pools[count] += vary_best(space, pools[count], params.seed)
    second = measure(params, "calibrate", pools, skip=params.first_captions)
    finish(2, pools, second)
    pools = {count: keep(pool, second, SECOND_SURVIVORS) for count, pool in pools.items()}
    families = {**name_families(pools), **families}
    selected = measure(params, "select", pools, converged=True)
    finish(3, pools, selected)
    limit = params.tolerance * float(selected.converged["50/50"].mean())
    front = choose_front(params, space, pools, selected, limit)
    rivals = list_rivals(space, front, first, families)
    families |= name_families(rivals)
    tested = measure(params, "test", rivals, converged=True)
    finish(4, rivals, tested)
    passes = {text: space.count_passes(Schedule.parse(text)) for text in tested.errors}
    return SearchResult(front, limit, families, rivals, passes, first, selected, tested)


def name_families(pools: Pools) -> dict[str, str]:
    """Return each schedule's family."""
    return {str(candidate.schedule): candidate.family for pool in pools.values() for candidate in pool}


def keep(pool: list[Candidate], measured: Round, most: int) -> list[Candidate]:
    """Return the candidates of a pool that may be the best, from the best on."""
    by_text = {str(candidate.schedule): candidate for candidate in pool}
    errors = {text: measured.errors[text] for text in by_text}
    return [by_text[text] for text in drop_worse(errors, measured.captions, most)]


def vary_best(space: Space, pool: list[Candidate], seed: int) -> list[Candidate]:
    """Return variations of the pool's best schedule that is a lead alone and guided throughout."""
    for candidate in pool:
        schedule = candidate.schedule
        if schedule == schedule.first and schedule.deepcache == 1 and is_guided_throughout(schedule):
            return vary(space, schedule, VARIATIONS, seed)
    return []


def is_guided_throughout(schedule: Schedule) -> bool:
    """Return whether every evaluation computes its own guidance."""
    return not schedule.guided_to and schedule.guided_from is None and schedule.guidance_every == 1


def choose_front(params: SearchParameters, space: Space, pools: Pools, selected: Round, limit: float) -> Front:
    """Choose the best candidate for each number of evaluations, and recommend one."""
    points = []
    for count in sorted(pools, reverse=True):
        left = [str(candidate.schedule) for candidate in keep(pools[count], selected, SECOND_SURVIVORS)]
        best = choose({text: selected.errors[text] for text in left})
        schedule, summary = Schedule.parse(best), summarize_errors(selected.errors[best], selected.captions)
        points.append(
            FrontPoint(
                evaluations=count,
                passes=space.count_passes(schedule),
                schedule=best,
                timesteps=tuple(list_timesteps(space.noise_schedule, schedule)),
                latent_mse=summary.mean,
                low=summary.mean if summary.low is None else summary.low,
                high=summary.mean if summary.high is None else summary.high,
            )
        )
    recommended = recommend(points, limit)
    seen = tuple(sorted({hash_caption(caption) for caption in list_seen(params)}))
    teacher = {name: part for name, part in fingerprint_parts(params.teacher, params.root).items() if name != "vae"}
    return Front(tuple(points), recommended, teacher, params.guidance_scale, seen)
