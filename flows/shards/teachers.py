"""What stages need to know of a teacher, wherever its URL is, before they load it. Errors name the URL."""

from crf.teacher.folder import TeacherShape, check_teacher, fingerprint_component, fingerprint_teacher
from storage.model_files.folders import fetch, find_own_path, list_model
from storage.model_files.hashes import hash_model


def read_shape(url: str) -> TeacherShape:
    """Read a teacher's shape, for which only its configs are fetched. Raises TeacherError if there is no teacher."""
    folder, elsewhere = fetch_configs(url)
    return TeacherShape.read(folder, elsewhere, url)


def fingerprint_parts(url: str, root: str) -> dict[str, str]:
    """Compute the fingerprint of each component: that of the same files in a local folder.

    The hashes of files elsewhere are kept below ``root``, so each is computed once.
    """
    folder, elsewhere = fetch_configs(url)
    return fingerprint_teacher(folder, hash_model(url, root) if elsewhere else {}, url)


def fingerprint_scheduler(url: str) -> str:
    """Compute the fingerprint of the scheduler alone, for which only configs are fetched."""
    folder, elsewhere = fetch_configs(url)
    return fingerprint_component(check_teacher(folder, elsewhere, url), "scheduler")


def fetch_configs(url: str) -> tuple[str, tuple[str, ...]]:
    """Return the folder with a teacher's configs, and the names of all its files if they are elsewhere."""
    path = find_own_path(url)
    if path is not None:
        return path, ()
    model = list_model(url)
    return fetch(model, lambda file: not file.is_weights), tuple(file.name for file in model.files)
