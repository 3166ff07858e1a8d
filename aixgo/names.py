"""What an agent may be called, and what DNS, Kubernetes and metric labels call it.

A name is 1–128 printable characters in NFC, without `/` and without outer blanks, compared exactly. Its
slug is lower-case ASCII where every other run becomes `-`; when a letter or digit was lost, or the slug
exceeds 54 characters, eight hex digits of the name's SHA-256 follow, so that a slug fits a DNS label.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from typing import cast

from aixgo.errors import ConfigError

__all__ = ["check_name", "invalid_name", "slug"]

MAX_NAME_LENGTH = 128  # characters
MAX_SLUG_LENGTH = 54  # characters before the hash; 54 + 1 + 8 = 63, a DNS label


def check_name(name: object, what: str = "an agent's name") -> str:
    """`name`, if an agent may be called so.

    Raises:
        ConfigError: it may not; the text says why.
    """
    if problem := invalid_name(name):
        raise ConfigError(f"{what} {problem}")
    return cast("str", name)


def invalid_name(name: object) -> str:
    """Why `name` cannot name an agent, or "" when it can."""
    if not isinstance(name, str):
        return f"must be text, not {type(name).__name__}"
    if not name:
        return "is empty"
    shown = repr(name[:40])
    if len(name) > MAX_NAME_LENGTH:
        return f"{shown}… is longer than {MAX_NAME_LENGTH} characters"
    if "/" in name:
        return f"{shown} contains '/'"
    if name != name.strip():
        return f"{shown} has blanks at its ends"
    if not name.isprintable():
        return f"{shown} has unprintable characters"
    if not unicodedata.is_normalized("NFC", name):
        return f"{shown} is not in Unicode normal form C"
    return ""


def slug(name: str) -> str:
    """The name as DNS, Kubernetes and metric labels write it."""
    short = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    lost = any(char.isalnum() and not char.isascii() for char in name)
    if short and not lost and len(short) <= MAX_SLUG_LENGTH:
        return short
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    return f"{short[:MAX_SLUG_LENGTH].rstrip('-')}-{digest}".lstrip("-")
