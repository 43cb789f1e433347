"""A model's files on this machine, wherever its URL is."""

from collections.abc import Callable

from storage import locations
from storage.model_files.download import fetch_objects
from storage.model_files.hub import SCHEME, fetch_repository, list_repository
from storage.model_files.object_store import list_objects
from storage.model_files.remote import RemoteFile, RemoteModel
from storage.secrets import check_url


def local_folder(url: str, weights: bool = True) -> str:
    """Return the path of a model's files on this machine, after fetching what is missing.

    Safe to call from any number of processes at once, which fetch the files once; again after any of them was killed;
    and for a model that has changed, whose older files stay.

    Args:
        url: A path or a ``file://`` URL, which is returned as a path; ``hf://org/name@revision``; or the URL of a
            folder, or of one file, on any other fsspec filesystem.
        weights: Whether to fetch the weights, too, and not only configs and tokenizers. Default True.

    Returns:
        Path of the folder or, for the URL of one file, of the file.

    Raises:
        UserError: There is no model, it does not fit on the disk, or its server does not answer.
    """
    path = find_own_path(url)
    return fetch(list_model(url), lambda file: weights or not file.is_weights) if path is None else path


def find_own_path(url: str) -> str | None:
    """Return the path of a model that is on this machine already; None if it is elsewhere."""
    check_url(url)
    return None if url.startswith(SCHEME) else locations.find_local_path(url)


def list_model(url: str) -> RemoteModel:
    """List the files of a model that is not on this machine. Raises UserError if there is none."""
    return list_repository(url) if url.startswith(SCHEME) else list_objects(url)


def fetch(model: RemoteModel, wanted: Callable[[RemoteFile], bool] = lambda file: True) -> str:
    """Return the path of a listed model on this machine, after fetching those of its files that are wanted."""
    files = [file for file in model.files if wanted(file)]
    folder = (fetch_repository if model.commit else fetch_objects)(model, files)
    return str(folder / model.files[0].name if model.single else folder)


def pin(url: str) -> str:
    """Return a URL that names the same files tomorrow: a branch of the hub becomes its commit. Others stay."""
    return list_repository(url).url if url.startswith(SCHEME) else url
