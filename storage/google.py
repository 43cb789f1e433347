"""gs:// with timeouts. The import is slow, so fsspec imports this module when the first gs:// URL is opened."""

import logging
import os
from typing import Any

# Without this, gcsfs stalls for two minutes before its first operation on an emulator.
os.environ.setdefault("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")
from aiohttp import ClientTimeout
from gcsfs import GCSFileSystem

# gcsfs logs every error that it raises. Unless the program configures logging, that prints stack traces.
logging.getLogger("gcsfs").addHandler(logging.NullHandler())

# Seconds per attempt. gcsfs makes six attempts, with pauses that add up to half a minute.
TIMEOUT = ClientTimeout(sock_connect=10, sock_read=20)


class GoogleStorage(GCSFileSystem):  # type: ignore[misc]  # gcsfs has no types
    """gcsfs with a timeout per attempt, and without its cache of listings, because other processes write too."""

    def __init__(
        self, *args: Any, requests_timeout: ClientTimeout = TIMEOUT, use_listings_cache: bool = False, **options: Any
    ) -> None:
        super().__init__(*args, requests_timeout=requests_timeout, use_listings_cache=use_listings_cache, **options)
