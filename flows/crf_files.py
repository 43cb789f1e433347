"""CRFs at any fsspec URL: diffusers writes and reads folders, so they pass through a local one."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from crf.model.latent_crf import LatentCRF
from storage import UserError, locations

CRF_FILES = ("config.json", "diffusion_pytorch_model.safetensors")


def save_crf(crf: LatentCRF, url: str) -> None:
    """config.json and safetensors, each object put in place in one step."""
    with tempfile.TemporaryDirectory() as folder:
        crf.save_pretrained(folder)
        for file in sorted(Path(folder).iterdir()):
            locations.write_bytes(locations.join(url, file.name), file.read_bytes())


def read_config(url: str) -> dict[str, Any]:
    """A CRF's config.json; raises UserError where there is none."""
    place = locations.join(url, "config.json")
    if not locations.exists(place):
        raise UserError("a CRF (a folder with config.json)", f"none at {url}", "give the url that distill printed")
    return dict(locations.read_json(place))


@contextmanager
def local_crf(url: str) -> Iterator[str]:
    """A local folder with the CRF's files, for as long as the block runs."""
    read_config(url)
    path = locations.local_path(url)
    if path is not None:
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        for name in CRF_FILES:
            (Path(folder) / name).write_bytes(locations.read_bytes(locations.join(url, name)))
        yield folder


def load_crf(url: str) -> LatentCRF:
    with local_crf(url) as folder:
        crf: LatentCRF = LatentCRF.from_pretrained(folder)
    return crf
