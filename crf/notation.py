"""The notation of schedules: text <-> the fields of ``Schedule``. docs/schedules.md explains it to users.

"31/40 + crf + 2@101,21 (recomputed), guided to 401" is a lead, a middle, a tail, brackets and a range of guidance.
"2@981,721 + crf + 2@401,161" is one lead of four evaluations, the second of which the CRF corrects.
"""

import re
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from crf.errors import ScheduleError

NUMBER = r"\d+(?:\.\d+)?"
NUMBERS = rf"{NUMBER}(?:,{NUMBER})*"
LEAD = re.compile(rf"(\d+)/(\d+)|(\d+)@({NUMBERS})(\.\.(\d*))?")
LISTED = re.compile(rf"(\d+)@({NUMBERS})")
TAIL = re.compile(rf"(\d+)/(\d+)|(\d+)@({NUMBERS})")
GUIDED = re.compile(r",\s*guided (?:(\d+) )?to (\d+)\s*$")
REUSED = re.compile(r",\s*guidance every (\d+)(?: below (\d+))?\s*$")
# What may stand in brackets, and the field that it sets.
NAMED = {
    **dict.fromkeys(("consistent", "recomputed", "fresh"), "renoise"),
    **dict.fromkeys(("dpm++", "dpm++3m", "unipc"), "solver"),
    **dict.fromkeys(("leading", "trailing", "karras", "ays", "ays-xl"), "spacing"),
}
BRACKETS = re.compile(r"\(([^()]*)\)\s*$")
POWER = re.compile(rf"power {NUMBER}")
DEEPCACHE = re.compile(r"deepcache (\d+)(, extrapolated)?")


def parse_fields(text: str) -> dict[str, Any]:
    """Parse a schedule into the fields of ``Schedule`` that it sets.

    Raises:
        ScheduleError: The text is not a schedule.
    """
    rest, fields = parse_guidance(text)
    while bracket := BRACKETS.search(rest):
        rest = rest[: bracket.start()]
        fields |= parse_bracket(bracket[1], text)
    (first, *others), corrections = join_corrected([part.strip() for part in rest.split("+")])
    middle = others.pop(0) if others and others[0] in ("crf", "x0") else ""
    lead, tail = LEAD.fullmatch(first), TAIL.fullmatch(others[0]) if len(others) == 1 else None
    if lead is None or len(others) > 1 or (others and tail is None) or (middle == "crf" and LISTED.fullmatch(first)):
        raise ScheduleError("a schedule", repr(text), "write one like '31/40 + crf + 2/50' or '50/50'")
    parts = {**parse_lead(lead), "middle": middle, **(parse_tail(tail) if tail else {})}
    return {**fields, **parts, "corrections": corrections}


def parse_guidance(text: str) -> tuple[str, dict[str, Any]]:
    """Parse the range of guidance and its reuse at the end of a schedule; return what stands before, and the fields."""
    fields: dict[str, Any] = {}
    if reused := REUSED.search(text):
        text, fields = text[: reused.start()], {"guidance_every": int(reused[1])}
        fields |= {"guidance_every_below": int(reused[2])} if reused[2] else {}
    if guided := GUIDED.search(text):
        text, fields = text[: guided.start()], {**fields, "guided_to": int(guided[2])}
        fields |= {"guided_from": int(guided[1])} if guided[1] else {}
    return text, fields


def format_guidance(fields: Mapping[str, Any]) -> str:
    """Write the range of guidance and its reuse."""
    start = f"{fields['guided_from']} " if fields["guided_from"] is not None else ""
    guided = f", guided {start}to {fields['guided_to']}" if fields["guided_to"] or start else ""
    if fields["guidance_every"] == 1:
        return guided
    below = "" if fields["guidance_every_below"] is None else f" below {fields['guidance_every_below']}"
    return f"{guided}, guidance every {fields['guidance_every']}{below}"


def join_corrected(terms: list[str]) -> tuple[list[str], tuple[int, ...]]:
    """Join evaluations at timesteps with those beyond a CRF that corrects the last of them.

    Returns:
        The terms that are left, and the numbers of the corrected evaluations:
        ["31/40", "crf", "1@101", "crf", "1@21"] -> ["31/40", "crf", "2@101,21"] and (32,).
    """
    left, corrections, rest = terms[:1], [], terms[1:]
    while rest:
        term, following = rest.pop(0), rest[0] if rest else None
        if term != "crf" or not LISTED.fullmatch(left[-1]) or not (following is None or is_listed(following)):
            left.append(term)
            continue
        corrections.append(sum(map(count_evaluations, left)))
        if following:
            left[-1] = join_evaluations(left[-1], rest.pop(0))
    return left, tuple(corrections)


def is_listed(term: str) -> bool:
    """Return whether a term is evaluations at timesteps that are all written out: "2@101,21" or "1@401..201"."""
    evaluations = LEAD.fullmatch(term)
    return bool(evaluations and evaluations[4]) and ("," in term or ".." not in term or term.startswith("1@"))


def join_evaluations(first: str, second: str) -> str:
    """Join two terms, each of as many timesteps as it says: "2@981,721" and "1@401..201" -> "3@981,721,401..201"."""
    for term in (first, second):
        written = term.count(",") + 1
        if written != count_evaluations(term):
            raise ScheduleError(f"{count_evaluations(term)} timesteps", f"'{term}'", "give one per evaluation")
    (_, before), (_, after) = first.split("@"), second.split("@")
    return f"{count_evaluations(first) + count_evaluations(second)}@{before},{after}"


def count_evaluations(term: str) -> int:
    """Count the evaluations of a term of a schedule: "31/40" -> 31, "2@101,21" -> 2, "crf" -> 0."""
    evaluations = LEAD.fullmatch(term)
    return int(evaluations[1] or evaluations[3]) if evaluations else 0


def parse_bracket(content: str, text: str) -> dict[str, Any]:
    """Parse what stands in one pair of brackets."""
    if content in NAMED:
        return {NAMED[content]: content}
    if POWER.fullmatch(content):
        return {"spacing": content}
    if cached := DEEPCACHE.fullmatch(content):
        return {"deepcache": int(cached[1]), "extrapolated": bool(cached[2])}
    names = ", ".join((*NAMED, "power 1.15", "deepcache 3"))
    raise ScheduleError(f"one of {names} in brackets", f"'({content})' in '{text}'", "correct it or leave it out")


def parse_lead(match: re.Match[str]) -> dict[str, Any]:
    """Return the lead's fields: "31/40", "31@981..201", "5@981,801,601,401,301" or "2@981,401..201"."""
    steps, of, count, places, reach, to_timestep = match.groups()
    if steps:
        return {"lead": int(steps), "lead_of": int(of)}
    ends = {"lead_to": int(to_timestep)} if to_timestep else {}
    if reach and "," not in places:
        return {"lead": int(count), "lead_from": read_timestep(places), **ends}
    return {"lead": int(count), "lead_timesteps": tuple(map(read_timestep, places.split(","))), **ends}


def parse_tail(match: re.Match[str]) -> dict[str, Any]:
    """Return the tail's fields: "2/50" or "2@101,21"."""
    steps, of, count, places = match.groups()
    if steps:
        return {"tail": int(steps), "tail_of": int(of)}
    return {"tail": int(count), "tail_timesteps": tuple(map(read_timestep, places.split(",")))}


def read_timestep(text: str) -> float:
    """Return a timestep: an int unless the text has a decimal point, as timesteps of flow matching may."""
    return float(text) if "." in text else int(text)


def format_fields(fields: Mapping[str, Any]) -> str:
    """Write the fields of a schedule as text. ``parse_fields`` reads it."""
    lead = fields["lead"]
    parts = [format_lead(fields), *filter(None, [fields["middle"]])]
    if fields["tail"]:
        corrections = [number - lead for number in fields["corrections"] if number > lead]
        places = format_timesteps(fields["tail"], fields["tail_timesteps"], corrections)
        parts.append(places or f"{fields['tail']}/{fields['tail_of']}")
    brackets = [fields["renoise"]] if fields["renoise"] != "direct" else []
    brackets += [fields["solver"]] if fields["solver"] != "ddim" else []
    brackets += [fields["spacing"]] if fields["spacing"] else []
    if fields["deepcache"] > 1:
        brackets.append(f"deepcache {fields['deepcache']}" + (", extrapolated" if fields["extrapolated"] else ""))
    return " + ".join(parts) + "".join(f" ({name})" for name in brackets) + format_guidance(fields)


def format_lead(fields: Mapping[str, Any]) -> str:
    """Write the lead."""
    end = "" if fields["lead_to"] is None else f"..{fields['lead_to']}"
    corrections = [number for number in fields["corrections"] if number <= fields["lead"]]
    if places := format_timesteps(fields["lead"], fields["lead_timesteps"], corrections):
        # A CRF at the end of a lead stands behind the lead; without an end, it would correct the last evaluation.
        return places + (end or (".." if fields["middle"] == "crf" else ""))
    reach = f"@{fields['lead_from']}{end or '..'}" if fields["lead_from"] else f"/{fields['lead_of']}"
    return f"{fields['lead']}{reach}"


def format_timesteps(count: int, timesteps: tuple[float, ...], corrections: list[int]) -> str:
    """Write evaluations at timesteps, and the CRF behind each that it corrects; "" without timesteps."""
    if not timesteps:
        return ""
    stops = [0, *(number for number in corrections if number < len(timesteps)), len(timesteps)]
    groups = [timesteps[start:stop] for start, stop in pairwise(stops)]
    counts = [len(group) for group in groups[:-1]]
    counts.append(count - sum(counts))
    written = [f"{each}@{','.join(map(str, group))}" for each, group in zip(counts, groups, strict=True)]
    return " + crf + ".join(written) + (" + crf" if len(timesteps) in corrections else "")
