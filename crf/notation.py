"""The notation of schedules: text <-> the fields of ``Schedule``. docs/schedules.md explains it to users.

"31/40 + crf + 2@101,21 (recomputed), guided to 401" is a lead, a middle, a tail, brackets and a range of guidance.
"""

import re
from collections.abc import Mapping
from typing import Any

from crf.errors import ScheduleError

NUMBER = r"\d+(?:\.\d+)?"
NUMBERS = rf"{NUMBER}(?:,{NUMBER})*"
LEAD = re.compile(rf"(\d+)/(\d+)|(\d+)@({NUMBERS})(\.\.(\d*))?")
TAIL = re.compile(rf"(\d+)/(\d+)|(\d+)@({NUMBERS})")
GUIDED = re.compile(r",\s*guided (?:(\d+) )?to (\d+)\s*$")
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
    rest, fields = text, {}
    if guided := GUIDED.search(rest):
        rest = rest[: guided.start()]
        fields = {"guided_to": int(guided[2])} | ({"guided_from": int(guided[1])} if guided[1] else {})
    while bracket := BRACKETS.search(rest):
        rest = rest[: bracket.start()]
        fields |= parse_bracket(bracket[1], text)
    first, *others = (part.strip() for part in rest.split("+"))
    middle = others.pop(0) if others and others[0] in ("crf", "x0") else ""
    lead, tail = LEAD.fullmatch(first), TAIL.fullmatch(others[0]) if len(others) == 1 else None
    if lead is None or len(others) > 1 or (others and tail is None):
        raise ScheduleError("a schedule", repr(text), "write one like '31/40 + crf + 2/50' or '50/50'")
    return {**fields, **parse_lead(lead), "middle": middle, **(parse_tail(tail) if tail else {})}


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
    parts = [format_lead(fields), *filter(None, [fields["middle"]])]
    if fields["tail"]:
        places = format_timesteps(fields["tail_timesteps"])
        parts.append(f"{fields['tail']}@{places}" if places else f"{fields['tail']}/{fields['tail_of']}")
    brackets = [fields["renoise"]] if fields["renoise"] != "direct" else []
    brackets += [fields["solver"]] if fields["solver"] != "ddim" else []
    brackets += [fields["spacing"]] if fields["spacing"] else []
    if fields["deepcache"] > 1:
        brackets.append(f"deepcache {fields['deepcache']}" + (", extrapolated" if fields["extrapolated"] else ""))
    start = f"{fields['guided_from']} " if fields["guided_from"] is not None else ""
    guided = f", guided {start}to {fields['guided_to']}" if fields["guided_to"] or start else ""
    return " + ".join(parts) + "".join(f" ({name})" for name in brackets) + guided


def format_lead(fields: Mapping[str, Any]) -> str:
    """Write the lead."""
    to_timestep = "" if fields["lead_to"] is None else fields["lead_to"]
    if places := format_timesteps(fields["lead_timesteps"]):
        return f"{fields['lead']}@{places}" + (f"..{to_timestep}" if fields["lead_to"] is not None else "")
    reach = f"@{fields['lead_from']}..{to_timestep}" if fields["lead_from"] else f"/{fields['lead_of']}"
    return f"{fields['lead']}{reach}"


def format_timesteps(timesteps: tuple[float, ...]) -> str:
    """Write timesteps, separated by commas."""
    return ",".join(map(str, timesteps))
