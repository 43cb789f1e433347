"""Read the losses of the trainings that made a CRF."""

from storage import locations
from storage.identity import read_identity

Losses = dict[str, list[dict[str, float]]]


def read_training_losses(crf: str) -> Losses:
    """Read the losses of both training stages: stage -> records. A stage whose output is gone is left out."""
    stage_1 = read_identity(crf).inputs["train"]
    root = locations.make_absolute(crf).rsplit("/", 2)[0]
    urls = {"train": locations.join(root, "train", stage_1), "distill": crf}
    found = {name: locations.join(url, "losses.json") for name, url in urls.items()}
    return {name: locations.read_json(url) for name, url in found.items() if locations.exists(url)}
