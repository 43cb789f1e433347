"""Tell the users' mistakes from our own, wherever they were raised: here, in a thread, or in a Ray worker."""

from crf.errors import CRFError
from storage.endpoints import describe_error, is_endpoint_error
from storage.errors import EndpointError, UserError


def find_user_error(error: BaseException) -> str | None:
    """One line that tells the user what is wrong and what to do; None if the mistake is ours.

    Looks at the error and everything that caused it. A server or a disk that does not answer is the user's to mend.
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
    """The error, what caused it, what caused that, and so on."""
    causes: list[BaseException] = []
    following: BaseException | None = error
    while following is not None and following not in causes:
        causes.append(following)
        following = getattr(following, "cause", None) or following.__cause__
    return causes


def is_from_ray(error: BaseException) -> bool:
    """Tell whether Ray made this error: it has the class of its ``cause``, but a stack trace as its message."""
    return hasattr(error, "cause")
