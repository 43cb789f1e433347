"""Tell user errors from bugs, wherever they were raised: in this process, in a thread or in a Ray worker."""

import sys

from crf.errors import CRFError
from storage.endpoints import describe_error, is_endpoint_error
from storage.errors import EndpointError, UserError


def find_user_error(error: BaseException) -> str | None:
    """Return one line that tells the user what is wrong and what to do; None if the error is a bug.

    Looks at the error and all its causes. A server or disk that does not answer counts as a user error.
    """
    causes = list_causes(error)
    for cause in causes:
        if isinstance(cause, UserError | CRFError) and not is_from_ray(cause):
            return " ".join(str(cause).split())
    if any(isinstance(cause, ImportError) and "s3fs" in str(cause) for cause in causes):
        return str(UserError("s3fs, to read and write s3:// URLs", "none installed", "pip install 'latentcrf[s3]'"))
    if died := next((cause for cause in causes if is_death(cause)), None):
        found = f"one that died again and again: {' '.join(str(died).split())}"
        advice = "give it more memory or a smaller micro_batch, or look into Ray's logs for what ended it"
        return str(UserError("Ray workers that stay alive", found, advice))
    failed = next((cause for cause in causes if is_endpoint_error(cause)), None)
    return str(EndpointError("the object store or the disk", describe_error(failed))) if failed else None


def is_death(error: BaseException) -> bool:
    """Tell whether this is Ray's report of a worker or an actor that died, and was tried again as often as allowed."""
    if "ray" not in sys.modules:  # no need to import it, which takes seconds
        return False
    from ray.exceptions import NodeDiedError, OutOfMemoryError, RayActorError, WorkerCrashedError

    return isinstance(error, NodeDiedError | OutOfMemoryError | RayActorError | WorkerCrashedError)


def list_causes(error: BaseException) -> list[BaseException]:
    """List the error, its cause, the cause's cause, and so on."""
    causes: list[BaseException] = []
    following: BaseException | None = error
    while following is not None and following not in causes:
        causes.append(following)
        following = getattr(following, "cause", None) or following.__cause__
    return causes


def is_from_ray(error: BaseException) -> bool:
    """Tell whether this is Ray's wrapper of an error: it has the error's class, but a stack trace as its message."""
    return hasattr(error, "cause")
