"""Tell user errors from bugs, wherever they were raised: in this process, in a thread or in a Ray worker."""

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
    failed = next((cause for cause in causes if is_endpoint_error(cause)), None)
    return str(EndpointError("the object store or the disk", describe_error(failed))) if failed else None


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
