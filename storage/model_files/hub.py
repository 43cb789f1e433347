"""Models on the Hugging Face hub: hf://org/name@revision. Its client downloads them, below our cache."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from storage.endpoints import translate_errors
from storage.errors import EndpointError, UserError
from storage.model_files.disk import explain_full_disk, find_cache, keep_room
from storage.model_files.remote import RemoteFile, RemoteModel, choose_names

SCHEME = "hf://"
URL = re.compile(r"hf://(?P<name>[\w.-]+/[\w.-]+)(?:@(?P<revision>[\w./-]+))?/?")


def parse_hub_url(url: str) -> tuple[str, str]:
    """Return the name "org/name" and the revision of a hub's URL. Raises UserError if it is none."""
    match = URL.fullmatch(url)
    if not match:
        raise UserError("hf://org/name@revision", url, "give a branch, a tag or a commit as the revision")
    return match["name"], match["revision"] or "main"


def list_repository(url: str) -> RemoteModel:
    """List the files of the model at ``hf://org/name@revision``. Raises UserError if there is none."""
    from huggingface_hub import HfApi

    name, revision = parse_hub_url(url)
    with translate_hub_errors(url):
        info = HfApi().model_info(name, revision=revision, files_metadata=True)
    siblings = {sibling.rfilename: sibling for sibling in info.siblings or []}
    names = choose_names(sorted(siblings))
    if not names or not info.sha:
        raise UserError("a model with safetensors weights", f"none at {url}", "choose another model or revision")
    files = []
    for path in names:
        found = siblings[path]
        sha256 = found.lfs.sha256 if found.lfs else ""
        files.append(RemoteFile(path, found.size or 0, sha256 or found.blob_id or "", sha256=sha256))
    return RemoteModel(f"{SCHEME}{name}@{info.sha}", tuple(files), commit=info.sha)


def fetch_repository(model: RemoteModel, files: list[RemoteFile]) -> Path:
    """Return the folder with these files of a model; the hub's client downloads what is missing."""
    from huggingface_hub import snapshot_download

    cache = find_cache() / "hub"
    name, _ = parse_hub_url(model.url)
    folder = cache / f"models--{name.replace('/', '--')}" / "snapshots" / model.commit
    missing = [file for file in files if not is_whole(folder, file)]
    if not missing:
        return folder
    needed = sum(file.size for file in missing)
    keep_room(cache, needed)
    with translate_hub_errors(model.url), explain_full_disk(cache, needed):
        snapshot_download(name, revision=model.commit, cache_dir=cache, allow_patterns=[file.name for file in missing])
    if damaged := [file.name for file in missing if not is_whole(folder, file)]:
        raise EndpointError(f"{model.url}/{damaged[0]}", "a file of another size")
    return folder


def is_whole(folder: Path, file: RemoteFile) -> bool:
    """Return whether a file is in a folder with all of its bytes."""
    path = folder / file.name
    return path.is_file() and path.stat().st_size == file.size


@contextmanager
def translate_hub_errors(url: str) -> Iterator[None]:
    """Re-raise the errors of the hub's client within the block as UserError."""
    from huggingface_hub.errors import RepositoryNotFoundError, RevisionNotFoundError

    name, revision = parse_hub_url(url)
    with translate_errors(url):
        try:
            yield
        except RevisionNotFoundError as error:
            raise UserError(f"a revision of {name}", f"none named {revision}", "look for it on the hub") from error
        except RepositoryNotFoundError as error:
            next_step = "check the name; for a private or gated model set HF_TOKEN"
            raise UserError(f"the model {name} on the hub", "none that you may read", next_step) from error
