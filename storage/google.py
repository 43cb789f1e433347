"""gs:// with timeouts. fsspec imports this module when the first gs:// URL is opened: the import is slow."""

import logging
import os
from typing import Any

# Without this, gcsfs stalls for two minutes before its first operation on an emulator.
os.environ.setdefault("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")
from aiohttp import ClientTimeout
from gcsfs import GCSFileSystem

# gcsfs logs every error that it raises. Unless the program configures logging, that prints stack traces.
logging.getLogger("gcsfs").addHandler(logging.NullHandler())

# Per attempt. gcsfs makes six attempts, with half a minute of pauses between them in all.
TIMEOUT = ClientTimeout(sock_connect=10, sock_read=20)


class GoogleStorage(GCSFileSystem):  # type: ignore[misc]  # gcsfs has no types
    """gcsfs with a timeout per attempt, and without its cache of listings: other processes write too."""

    def __init__(
        self, *args: Any, requests_timeout: ClientTimeout = TIMEOUT, use_listings_cache: bool = False, **options: Any
    ) -> None:
        super().__init__(*args, requests_timeout=requests_timeout, use_listings_cache=use_listings_cache, **options)
