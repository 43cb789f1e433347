"""What a server that does not answer means to whoever asked: one error, after a bounded time.

gcsfs and s3fs try a request again where it was refused (503, 429), cut off or not answered. Where all
attempts fail it is an EndpointError. How long that takes (``python -m tests.chaos.endpoints``):

    gs://   33 s where nothing is there, 34 s where all is refused, 153 s where the server hangs
    s3://   5 s,                         13 s,                      292 s

An upload that stands still ends after WRITE_SECONDS.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from storage.errors import EndpointError, UserError

WRITE_SECONDS = 300
# How s3fs answers for itself, so that other processes' objects are seen and a hang ends: 10 s an attempt.
S3_OPTIONS = {"config_kwargs": {"read_timeout": 10}, "use_listings_cache": False}
CLIENTS = {"aiohttp", "aiobotocore", "botocore", "gcsfs", "google", "requests", "s3fs", "urllib3"}


@contextmanager
def translate_errors(url: str) -> Iterator[None]:
    """Raises EndpointError where something in the block failed because ``url`` did not answer, or refused."""
    try:
        yield
    except FileNotFoundError:  # an answer
        raise
    except Exception as error:
        if not is_of_endpoint(error):
            raise
        raise EndpointError(url, describe(error)) from error


def is_of_endpoint(error: BaseException) -> bool:
    """Is it a client library's, the network's or the disk's?"""
    return isinstance(error, OSError) or type(error).__module__.partition(".")[0] in CLIENTS


def describe(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}".rstrip(": ")


def user_error(error: BaseException) -> UserError | None:
    """What to tell the user, if an error or one that caused it, maybe on a Ray worker, is theirs to mend."""
    chain: list[BaseException] = []
    following: BaseException | None = error
    while following is not None and following not in chain:
        chain.append(following)
        # Ray's errors are of their cause's type too, but their text is a stack trace.
        following = getattr(following, "cause", None) or following.__cause__
    told = [link for link in chain if isinstance(link, UserError) and not hasattr(link, "cause")]
    if told:
        return told[0]
    if any(isinstance(link, ImportError) and "s3fs" in str(link) for link in chain):
        return UserError("s3fs, which reads and writes s3:// URLs", "it is not installed", "install 'latentcrf[s3]'")
    failed = [link for link in chain if is_of_endpoint(link)]
    return EndpointError("the object store or the disk", describe(failed[0])) if failed else None
