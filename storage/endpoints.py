"""Servers and disks that do not answer: how long to wait for them, and the error to raise.

gcsfs and s3fs retry a request that was denied (503, 429), cut off or not answered. If all attempts fail, the
caller gets an EndpointError. How long that takes (``python -m tests.chaos.endpoints``):

    gs://   33 s if nothing listens, 34 s if every request is denied, 153 s if the server hangs
    s3://   5 s,                     13 s,                            292 s

An upload that makes no progress ends after WRITE_SECONDS.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from storage.errors import EndpointError

WRITE_SECONDS = 300
# Our defaults for s3fs: see other processes' objects at once, and end an attempt that hangs for 10 s.
S3_OPTIONS = {"config_kwargs": {"read_timeout": 10}, "use_listings_cache": False}
CLIENTS = {
    "aiohttp",
    "aiobotocore",
    "botocore",
    "gcsfs",
    "google",
    "httpx",
    "huggingface_hub",
    "requests",
    "s3fs",
    "urllib3",
}


@contextmanager
def translate_errors(url: str) -> Iterator[None]:
    """Re-raise errors from clients, networks and disks within the block as EndpointError.

    FileNotFoundError passes unchanged, because the server or disk did answer. ``url`` is for the message.
    """
    try:
        yield
    except FileNotFoundError:
        raise
    except Exception as error:
        if not is_endpoint_error(error):
            raise
        raise EndpointError(url, describe_error(error)) from error


def is_endpoint_error(error: BaseException) -> bool:
    """Return whether an error comes from a client library, the network or the disk."""
    return isinstance(error, OSError) or type(error).__module__.partition(".")[0] in CLIENTS


def describe_error(error: BaseException) -> str:
    """Format the class and message of an error in one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}".rstrip(": ")
