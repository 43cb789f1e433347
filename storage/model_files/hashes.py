"""The SHA-256 of each file of a model elsewhere, read once and kept in ``{root}/inputs/{digest of its URL}.json``.

So a model's fingerprint is that of the same bytes in a local folder, and whoever plans needs none of its weights.
"""

import hashlib

import fsspec

from storage import locations
from storage.endpoints import translate_errors
from storage.identity import digest
from storage.model_files.disk import has_room
from storage.model_files.download import PIECE
from storage.model_files.folders import fetch, list_model
from storage.model_files.remote import RemoteFile, RemoteModel
from storage.records import hash_object


def hash_model(url: str, root: str) -> dict[str, str]:
    """Return the SHA-256 of each file of a model that is not on this machine: path in its folder -> hex digits.

    What neither the server tells nor ``root`` holds is fetched into the cache, as this machine most likely loads it
    next, or only streamed if it does not fit there. The result is kept below ``root``.
    """
    model = list_model(url)
    place = place_hashes(url, root)
    kept = locations.read_json(place) if locations.exists(place) else {}
    hashes = {file.name: file.sha256 or kept.get(describe_state(file), "") for file in model.files}
    missing = [file for file in model.files if not hashes[file.name]]
    if missing:
        found = hash_files(model, missing)
        hashes |= found
        new = {describe_state(file): found[file.name] for file in missing}
        locations.write_json(place, {**kept, **new})
    return hashes


def place_hashes(url: str, root: str) -> str:
    """Return the URL of the file with the hashes of the model at ``url``."""
    return locations.join(locations.make_absolute(root), "inputs", f"{digest(url.rstrip('/'))}.json")


def describe_state(file: RemoteFile) -> str:
    """Name a file with its state, which changes if its content does."""
    return f"{file.name} {file.size} {file.state}"


def hash_files(model: RemoteModel, files: list[RemoteFile]) -> dict[str, str]:
    """Compute the SHA-256 of files: by way of the cache or, if they do not fit there, streamed."""
    if not model.commit and not has_room(sum(file.size for file in model.files)):
        return {file.name: hash_stream(locate(model, file)) for file in files}
    path = fetch(model, lambda file: file in files)
    return {file.name: hash_object(path if model.single else f"{path}/{file.name}") for file in files}


def locate(model: RemoteModel, file: RemoteFile) -> str:
    """Return the URL of a file of a model on an object store."""
    return model.url if model.single else locations.join(model.url, file.name)


def hash_stream(url: str) -> str:
    """Compute the SHA-256 of an object without a copy of it on this machine."""
    hashed = hashlib.sha256()
    fs, path = fsspec.url_to_fs(url)
    with translate_errors(url), fs.open(path, "rb", block_size=PIECE, cache_type="readahead") as content:
        while piece := content.read(PIECE):
            hashed.update(piece)
    return hashed.hexdigest()
