"""URLs that carry credentials, which are refused: URLs are written into indexes, records, logs and databases."""

import re

from storage.errors import UserError

# A password, or any user of https; or a query's or fragment's value whose name tells that it is secret.
SECRET = re.compile(
    r"://[^/?#\s]*:[^/?#@\s]*@|^https?://[^/?#\s]*@"
    r"|[?&#;][^=&#;]*(token|secret|passw|signature|credential|(?<![a-z])sig(?![a-z])|key)[^=&#;]*=",
    re.IGNORECASE,
)


def holds_secret(url: str) -> bool:
    """Return whether a text is a URL with a password, a token, a signature or a key in it."""
    return "://" in url and SECRET.search(url) is not None


def check_url(url: str) -> None:
    """Raise UserError if a URL holds credentials. The message does not repeat them."""
    if holds_secret(url):
        scheme = url.partition("://")[0]
        raise UserError(
            f"a {scheme}:// URL without credentials",
            "one with a user, a password, a token, a signature or a key",
            "set them in the environment, as FSSPEC_… variables, or in fsspec's config",
        )
