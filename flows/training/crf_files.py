"""Save and load CRFs at any fsspec URL, by way of a local folder: diffusers knows only folders."""

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crf.schedule import PAPERS_LEAD, Schedule
from storage import UserError, locations
from storage.model_files.folders import local_folder

if TYPE_CHECKING:
    from crf.model.latent_crf import LatentCRF

WEIGHTS = "diffusion_pytorch_model.safetensors"
CRF_FILES = ("config.json", WEIGHTS)


def save_crf(crf: "LatentCRF", url: str) -> None:
    """Write a CRF's config.json and its weights (safetensors). No reader ever sees a part of an object."""
    with tempfile.TemporaryDirectory() as folder:
        crf.save_pretrained(folder)
        config = Path(folder, "config.json")
        values = json.loads(config.read_text())
        values.pop("_name_or_path", None)  # where it was loaded from: a path of this machine
        config.write_text(json.dumps(values, indent=2, sort_keys=True) + "\n")
        for file in sorted(Path(folder).iterdir()):
            locations.write_bytes(locations.join(url, file.name), file.read_bytes())


def read_config(url: str) -> dict[str, Any]:
    """Read a CRF's config.json. Raises UserError if there is none."""
    place = locations.join(url, "config.json")
    if not locations.exists(place):
        raise UserError(
            "a CRF (a folder with config.json)", f"none at {url}", "give the URL that train or distill printed"
        )
    return dict(locations.read_json(place))


def choose_lead(config: dict[str, Any], lead: str | None, ignore_mismatched_lead: bool) -> str:
    """Return the lead to run before a CRF with this config: ``lead`` or, by default, the CRF's own.

    The CRF's own lead is the one it was distilled on; the paper's, if the config names none. Raises UserError
    if ``lead`` is another, unless ``ignore_mismatched_lead``.
    """
    own = Schedule.parse_lead(config.get("lead") or PAPERS_LEAD)
    chosen = Schedule.parse_lead(lead) if lead else own
    if chosen != own and not ignore_mismatched_lead:
        raise UserError(
            f"the lead {own}, which the CRF was distilled on",
            str(chosen),
            "leave it out, or add --ignore-mismatched-lead",
        )
    return str(chosen)


def check_files(url: str) -> None:
    """Raise UserError if there is no CRF, or one without its weights."""
    read_config(url)
    if not locations.exists(locations.join(url, WEIGHTS)):
        raise UserError(f"a CRF with {WEIGHTS}", f"none at {url}", "train or distill it again")


def load_crf(url: str) -> "LatentCRF":
    """Load a CRF. Raises UserError if there is none."""
    from crf.model.latent_crf import LatentCRF

    check_files(url)
    crf: LatentCRF = LatentCRF.from_pretrained(local_folder(url))
    return crf
