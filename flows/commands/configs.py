"""Read pipeline configurations in YAML. Relative paths in a file start at the file's folder."""

from pathlib import Path

import yaml
from pydantic import ValidationError

from flows.parameters.pipeline import PipelineParameters
from storage import UserError

EMBEDDED = {"demo": Path(__file__).parents[2] / "deploy/demo/demo.yaml"}
CAPTIONS = ("captions", "heldout_captions", "calibrate_captions", "select_captions")
INPUTS = ("teacher", "images", "heldout_images", "front", *CAPTIONS)


def load_config(name: str, root: str | None) -> PipelineParameters:
    """Read a configuration. ``name``: that of an embedded one, or the path of a YAML file.

    ``root``: replaces the configuration's own, unless None. Raises UserError if anything in the file is not valid.
    """
    path = EMBEDDED.get(name, Path(name))
    if not path.is_file():
        raise UserError(f"a YAML file or one of {sorted(EMBEDDED)}", name, "check the name")
    try:
        values = yaml.safe_load(path.read_text())
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError("a YAML file", f"{path}: {' '.join(str(error).split())}", "correct it") from None
    if not isinstance(values, dict):
        raise UserError("a YAML mapping of parameters", f"{type(values).__name__} in {path}", f"see {EMBEDDED['demo']}")
    for key in INPUTS:
        if isinstance(values.get(key), str) and "://" not in values[key]:
            values[key] = str((path.parent / values[key]).resolve())
    if root is not None:
        values["root"] = root
    try:
        return PipelineParameters(**values)
    except ValidationError as error:
        # A misspelt name also leaves the right one missing: name the former.
        first = min(error.errors(), key=lambda each: each["type"] != "extra_forbidden")
        place = ".".join(str(part) for part in first["loc"])
        raise UserError("valid parameters", f"{place}: {first['msg']}", f"correct {path}") from None
