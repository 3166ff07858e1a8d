"""Secrets stay out of traces and the log: values that look like one, and those this process has been given.

It is given some by its environment, and others by files and code, which name them to `hide`.

Below: nothing of ours. Above: content, complaints and lines, which pass every text through `redact`.
"""

from __future__ import annotations

import os
import re
from functools import cache

__all__ = ["REDACTED", "forget_environment", "hide", "names_secret", "redact"]

REDACTED = "[redacted]"
SHORTEST = 8  # characters of a value that is taken for a secret
MOST_TOLD = 1_000

SECRET_NAME = re.compile(r"(?:KEY|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIALS?)$|_HEADERS$")
SECRET_SHAPES = re.compile(
    r"""
    (?P<scheme>\b(?:Bearer|Basic)\s+)[A-Za-z0-9._~+/=-]{8,}                # an Authorization header
    | \b(?:sk|pk|rk|xai|gsk|ghp|gho|ghs|glpat|hf)[-_][A-Za-z0-9_-]{12,}  # keys with their vendor's prefix
    | \bAKIA[A-Z0-9]{16}\b | \bAIza[A-Za-z0-9_-]{30,}
    | \beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*          # a JSON web token
    | -----BEGIN\ [A-Z ]*PRIVATE\ KEY-----.*?(?:-----END\ [A-Z ]*PRIVATE\ KEY-----|\Z)
    | (?P<named>(?i:(?:api[_-]?key|password|passwd|secret|token)["']?\s*[:=]\s*["']?))[^\s"',;}]{8,}
    | (?P<url>://[^\s:/@]*:)[^\s@/]+(?=@)                                # a password in a URL
    """,
    re.VERBOSE | re.DOTALL,
)


_told: set[str] = set()


def hide(*secrets: str) -> None:
    """Let no text that is redacted from now on show any of `secrets`; those below 8 characters are no secrets."""
    new = {secret for secret in secrets if len(secret) >= SHORTEST} - _told
    if new and len(_told) < MOST_TOLD:
        _told.update(new)
        _known.cache_clear()


def redact(text: str) -> str:
    """`text` with every secret in it replaced."""
    known = _known()
    if known is not None:
        text = known.sub(REDACTED, text)
    return SECRET_SHAPES.sub(_hidden, text)


def names_secret(name: str) -> bool:
    """Whether what is called `name` is a secret, whatever it looks like."""
    return SECRET_NAME.search(name.upper()) is not None


def forget_environment() -> None:
    """Look at the environment again; for whoever changes it while running."""
    _known.cache_clear()


def _hidden(found: re.Match[str]) -> str:
    kept = found["scheme"] or found["named"] or found["url"] or ""
    return f"{kept}{REDACTED}"


@cache
def _known() -> re.Pattern[str] | None:
    """What was told, and the values of variables that are named like a secret, longest first."""
    values = _told | {
        value for name, value in os.environ.items() if names_secret(name) and len(value) >= SHORTEST
    }
    if not values:
        return None
    return re.compile("|".join(re.escape(value) for value in sorted(values, key=len, reverse=True)))
