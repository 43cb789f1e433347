"""Models on any fsspec filesystem."""

import posixpath

import fsspec

from storage.endpoints import translate_errors
from storage.errors import UserError
from storage.inputs.file_states import parse_remote_state
from storage.model_files.remote import RemoteFile, RemoteModel, choose_names


def list_objects(url: str) -> RemoteModel:
    """List the files of the model at a URL: a folder, or one object. Raises UserError if there is none."""
    fs, root = fsspec.url_to_fs(url)
    with translate_errors(url):
        try:
            single = bool(fs.isfile(root))
            entries = {root: fs.info(root)} if single else fs.find(root, maxdepth=2, detail=True)
        except FileNotFoundError:
            entries = {}
    found = {posixpath.relpath(path, root): entry for path, entry in entries.items()}
    if single:
        found = {posixpath.basename(root): entries[root]}
    names = sorted(found) if single else choose_names(sorted(found))
    if not names:
        expected = "a model with safetensors weights and its configs"
        raise UserError(expected, f"{_describe(sorted(found))} at {url}", "check the URL and your access to it")
    files = []
    for name in names:
        state = parse_remote_state(fs, found[name])
        if not state.version and not state.checksum:
            raise UserError(f"a server that tells when {url}/{name} changes", "none", "copy the model to a folder")
        files.append(RemoteFile(name, state.size, f"{state.version} {state.checksum}", state.checksum))
    return RemoteModel(url.rstrip("/"), tuple(files), single=single)


def _describe(names: list[str]) -> str:
    return f"only {', '.join(names[:3])}{', …' if len(names) > 3 else ''}" if names else "nothing"
