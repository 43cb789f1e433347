"""gs:// that does not wait for ever. fsspec imports it when the first gs:// URL is opened: it takes its time."""

import logging
import os
from typing import Any

# Without this, gcsfs' first operation on an emulator stalls for two minutes.
os.environ.setdefault("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")
from aiohttp import ClientTimeout
from gcsfs import GCSFileSystem

# It logs what it raises; unless the program has a log of its own, that would be a stack trace on the terminal.
logging.getLogger("gcsfs").addHandler(logging.NullHandler())

# Of one attempt; gcsfs makes six, with about half a minute of pauses between them.
TIMEOUT = ClientTimeout(sock_connect=10, sock_read=20)


class GoogleStorage(GCSFileSystem):  # type: ignore[misc]  # gcsfs has no types
    """gcsfs, but for what it takes for granted: that a server answers, and that nobody else writes."""

    def __init__(
        self, *args: Any, requests_timeout: ClientTimeout = TIMEOUT, use_listings_cache: bool = False, **options: Any
    ) -> None:
        super().__init__(*args, requests_timeout=requests_timeout, use_listings_cache=use_listings_cache, **options)
