"""What the front is tested beside: the schedules that a user gets without a search, and the best of other families."""

from crf.front import Front
from crf.schedule import Schedule
from crf.search.candidates import Candidate, Space
from crf.search.racing import rank
from flows.searching.measuring import Pools, Round

# Families whose best candidate of the first round is tested too.
SHOWN = (
    "ddim, dynamic programming",
    "dpm++, dynamic programming",
    "dpm++, power",
    "x0",
    "crf",
    "dpm++, corrected",
    "ddim, DeepCache, extrapolated",
)


def list_rivals(space: Space, front: Front, first: Round, families: dict[str, str]) -> Pools:
    """List the schedules of the test by number of evaluations: the front's own and its rivals."""
    pools: Pools = {}
    for point in front.points:
        count = point.evaluations
        chosen = [Candidate(Schedule.parse(point.schedule), families.get(point.schedule, "varied"))]
        every = [*chosen, *list_plain(space, count), *list_best(space, count, first, families)]
        pools[count] = list({each.schedule: each for each in reversed(every)}.values())[::-1]
    return pools


def list_plain(space: Space, count: int) -> list[Candidate]:
    """List what diffusers' users run: its samplers on their own steps, evenly from the teacher's start, published."""
    even = Schedule(count, lead_from=space.start)
    texts = [
        (f"{count}/{count}", "diffusers' DDIM or Euler"),
        (f"{count}/{count} (dpm++)", "diffusers' DPM-Solver++"),
        (str(even), "ddim, even"),
        (f"{even} (dpm++) (power 1)", "dpm++, even"),
        (f"{even} (unipc) (power 1)", "unipc, even"),
        (f"{even} (dpm++) (karras)", "dpm++, karras"),
    ]
    plain = [Candidate(Schedule.parse(text), family) for text, family in texts]
    return [each for each in plain if space.is_runnable(each.schedule)]


def list_best(space: Space, count: int, first: Round, families: dict[str, str]) -> list[Candidate]:
    """List the best candidate of each shown family in the first round."""
    best = []
    for family in SHOWN:
        own = {
            text: errors
            for text, errors in first.errors.items()
            if families[text] == family and abs(space.count_evaluations(Schedule.parse(text)) - count) < 1
        }
        if own:
            best.append(Candidate(Schedule.parse(rank(own)[0]), family))
    return best
