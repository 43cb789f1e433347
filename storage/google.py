"""gs:// with timeouts. The import is slow, so fsspec imports this module when the first gs:// URL is opened."""

import logging
import os
from typing import Any

# Without this, gcsfs stalls for two minutes before its first operation on an emulator.
os.environ.setdefault("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")
from aiohttp import ClientTimeout
from gcsfs import GCSFileSystem
from google.auth.exceptions import DefaultCredentialsError

from storage.errors import UserError

# gcsfs logs every error that it raises. Unless the program configures logging, that prints stack traces.
logging.getLogger("gcsfs").addHandler(logging.NullHandler())

# Seconds per attempt. gcsfs makes six attempts, with pauses that add up to half a minute.
TIMEOUT = ClientTimeout(sock_connect=10, sock_read=20)


class GoogleStorage(GCSFileSystem):  # type: ignore[misc]  # gcsfs has no types
    """gcsfs with a timeout per attempt, and without its cache of listings, because other processes write too.

    Without a token of one's own it takes Google's default credentials, and none for an emulator. gcsfs alone would go
    on without any, so that a service account that is not bound would look like an empty or a forbidden bucket.
    """

    def __init__(
        self,
        *args: Any,
        requests_timeout: ClientTimeout = TIMEOUT,
        use_listings_cache: bool = False,
        token: Any = None,
        **options: Any,
    ) -> None:
        emulated = options.get("endpoint_url") or os.environ.get("STORAGE_EMULATOR_HOST")
        try:
            super().__init__(
                *args,
                requests_timeout=requests_timeout,
                use_listings_cache=use_listings_cache,
                token=token or ("anon" if emulated else "google_default"),
                **options,
            )
        except DefaultCredentialsError as error:
            raise UserError(
                "Google credentials for gs://",
                "none",
                "run `gcloud auth application-default login`, bind a service account to the pod or the machine, or set "
                "FSSPEC_GS_TOKEN=anon for a public bucket",
            ) from error

    @staticmethod
    def close_session(loop: Any, session: Any, asynchronous: bool = False) -> None:
        """Close the connections when the program ends.

        Those of zarr's file system belong to zarr's event loop, and gcsfs would close them on another: a stack trace.
        """
        if asynchronous and session is not None and session.connector is not None:
            session.connector._close()  # gcsfs does so, too, when no loop runs any more
        else:
            GCSFileSystem.close_session(loop, session, asynchronous)
