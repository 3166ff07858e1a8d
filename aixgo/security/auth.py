"""The bearer token of a fleet: what a caller shows and a server asks for.

One shared secret says "one of us", and no more; who exactly calls is what mutual TLS tells. It is never
printed: not by `repr`, not in an error.

Below: errors. Above: rpc.credentials.
"""

from __future__ import annotations

import hmac
import os
import re
from dataclasses import dataclass, field
from pathlib import Path

from aixgo.errors import ConfigError

__all__ = ["Token"]

FEWEST, MOST = 16, 4096  # characters; what is shorter can be guessed, what is longer fits no header
_TOKEN = re.compile(r"[A-Za-z0-9._~+/:=-]+")  # what RFC 6750 lets a bearer token hold, and colons


@dataclass(slots=True, frozen=True)
class Token:
    """A secret that callers send with every request and servers ask for.

    Raises:
        ConfigError: it is too short, too long, or has a character a header cannot carry.
    """

    value: str = field(repr=False)

    def __post_init__(self) -> None:
        if not FEWEST <= len(self.value) <= MOST:
            raise ConfigError(
                f"the token has {len(self.value)} characters; it takes {FEWEST} to {MOST}"
            )
        if not _TOKEN.fullmatch(self.value):
            raise ConfigError(
                "the token has a character that is none of: letters, digits, . _ ~ + / : = -"
            )

    @classmethod
    def from_file(cls, path: str | Path) -> Token:
        """The token in the file at `path`, without the blanks around it.

        Raises:
            ConfigError: the file cannot be read, or holds no token.
        """
        try:
            with Path(path).expanduser().open(encoding="ascii") as file:
                text = file.read(2 * MOST)
        except OSError as exc:
            why = exc.strerror or "cannot be read"
            raise ConfigError(f"token file {str(path)!r}: {why}") from exc
        except UnicodeDecodeError:
            raise ConfigError(f"token file {str(path)!r} holds more than a token") from None
        try:
            return cls(text.strip())
        except ConfigError as exc:
            raise ConfigError(f"token file {str(path)!r}: {exc}") from None

    @classmethod
    def from_env(cls, name: str) -> Token:
        """The token in the environment variable `name`.

        Raises:
            ConfigError: it is not set, or holds no token.
        """
        text = os.environ.get(name, "")
        if not text:
            raise ConfigError(f"the environment variable {name} holds no token")
        try:
            return cls(text.strip())
        except ConfigError as exc:
            raise ConfigError(f"the environment variable {name}: {exc}") from None

    def matches(self, shown: str) -> bool:
        """Whether `shown` is this token; how long that takes tells nothing about it."""
        return hmac.compare_digest(shown.encode(), self.value.encode())
