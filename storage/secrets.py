"""URLs that carry credentials, which are refused: URLs are written into indexes, records, logs and databases."""

import re

from storage.errors import UserError

NAMES = ("token", "secret", "passw", "signature", "credential", "key")  # a part of the name of what is secret


def match_letters(word: str) -> str:
    """Return a pattern for a word in capitals or not, which JSON schemas have no flag for."""
    return "".join(f"[{letter}{letter.upper()}]" for letter in word)


# A password, or any user of https; or a query's or fragment's value whose name tells that it is secret.
SECRET = "|".join(
    [
        r"://[^/?#\s]*:[^/?#@\s]*@",
        rf"{match_letters('http')}[sS]?://[^/?#\s]*@",
        rf"://.*[?&#;][^=&#;]*({'|'.join(map(match_letters, NAMES))})[^=&#;]*=",
        rf"://.*[?&#;]([^=&#;]*[^a-zA-Z=&#;])?{match_letters('sig')}([^a-zA-Z=&#;][^=&#;]*)?=",
    ]
)
# For JSON schemas, so that Prefect's server refuses such a parameter before it keeps it.
NO_SECRET = f"^(?!.*({SECRET}))"
FOUND = re.compile(SECRET, re.DOTALL)


def holds_secret(url: str) -> bool:
    """Return whether a text is a URL with a password, a token, a signature or a key in it."""
    return FOUND.search(url) is not None


def check_url(url: str) -> None:
    """Raise UserError if a URL holds credentials. The message does not repeat them."""
    if holds_secret(url):
        scheme = url.partition("://")[0]
        raise UserError(
            f"a {scheme}:// URL without credentials",
            "one with a user, a password, a token, a signature or a key",
            "set them in the environment, as FSSPEC_… variables, or in fsspec's config",
        )
