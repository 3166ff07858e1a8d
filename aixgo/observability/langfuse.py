"""What can be set about Langfuse, and what its addresses and keys come to.

Nothing here imports Langfuse or OpenTelemetry, and nothing is contacted. Langfuse is used only where it was asked
for; then its own LANGFUSE_* variables complete what was left open.

Below: keys. Above: settings; langfuse_spans and langfuse_scores, which use what `access` gives.
"""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from aixgo.errors import ConfigError
from aixgo.keys import Key
from aixgo.observability.urls import check_url

__all__ = ["LANGFUSE_KEYS", "LangfuseAccess", "LangfuseSettings"]

WHERE = "observability.langfuse"
CLOUD = "https://cloud.langfuse.com"
LONGEST_TAG = 200  # characters Langfuse keeps of a tag
ENVIRONMENT = re.compile(r"(?!langfuse)[a-z0-9_-]{1,40}")
PUBLIC_KEY = re.compile(
    r"[\x21-\x39\x3b-\x7e]+"
)  # it stands before the colon of a Basic credential
SECRET_KEY = re.compile(r"[\x21-\x7e]+")

LANGFUSE_KEYS: Mapping[str, Key] = {
    "host": Key("text", "URL of the server; else LANGFUSE_BASE_URL, else LANGFUSE_HOST"),
    "public_key": Key("text", "the project's public key; else LANGFUSE_PUBLIC_KEY"),
    "secret_key": Key("text", "the project's secret key; else LANGFUSE_SECRET_KEY", secret=True),
    "environment": Key(
        "text", "such as production or staging; else LANGFUSE_TRACING_ENVIRONMENT, else default"
    ),
    "release": Key("text", "which release of yours this is; else LANGFUSE_RELEASE"),
    "tags": Key("texts", "tags of every trace"),
}


class LangfuseAccess(NamedTuple):
    """A server, the keys of a project there, and what all of its traces carry."""

    host: str
    public_key: str
    secret_key: str
    environment: str
    release: str
    tags: tuple[str, ...]

    def __repr__(self) -> str:
        return f"LangfuseAccess({self.host!r})"

    @property
    def credential(self) -> str:
        """Both keys, as an Authorization header has them."""
        return base64.b64encode(f"{self.public_key}:{self.secret_key}".encode()).decode()

    @property
    def name(self) -> str:
        """The server as warnings name it."""
        return f"Langfuse at {self.host}"


@dataclass(slots=True, frozen=True, kw_only=True)
class LangfuseSettings:
    """Where Langfuse is and whose keys are used; each is described in docs/observability.md.

    What is empty is taken from Langfuse's own variables. The keys are part of no text.

    Raises:
        ConfigError: a value cannot be right; the text says which and why, and shows no key.
    """

    host: str = ""
    public_key: str = field(default="", repr=False)
    secret_key: str = field(default="", repr=False)
    environment: str = ""
    release: str = ""
    tags: Sequence[str] = ()

    def __post_init__(self) -> None:
        for name, key in LANGFUSE_KEYS.items():
            key.check(getattr(self, name), f"{WHERE}.{name}")
        if self.host:
            _check_host(self.host, f"{WHERE}.host")
        if self.public_key:
            _check_key(self.public_key, "public", f"{WHERE}.public_key")
        if self.secret_key:
            _check_key(self.secret_key, "secret", f"{WHERE}.secret_key")
        if self.environment:
            _check_environment(self.environment, f"{WHERE}.environment")
        for tag in self.tags:
            if not 0 < len(tag) <= LONGEST_TAG:
                raise ConfigError(
                    f"{WHERE}.tags: a tag has 1 to {LONGEST_TAG} characters, not {len(tag)}"
                )

    def access(self) -> LangfuseAccess:
        """All of it, with what Langfuse's own variables add.

        Raises:
            ConfigError: the server or a key is named nowhere, or a variable cannot be right.
        """
        name, host = _given_or(self.host, "host", "LANGFUSE_BASE_URL", "LANGFUSE_HOST")
        if not host:
            raise ConfigError(
                f"{name} names no server, and LANGFUSE_BASE_URL is not set; Langfuse's own cloud is {CLOUD}"
            )
        keys = {}
        for side in ("public", "secret"):
            variable = f"LANGFUSE_{side.upper()}_KEY"
            given = self.public_key if side == "public" else self.secret_key
            name, keys[side] = _given_or(given, f"{side}_key", variable)
            if not keys[side]:
                raise ConfigError(f"{name} is empty, and {variable} is not set")
            _check_key(keys[side], side, name)
        name, environment = _given_or(
            self.environment, "environment", "LANGFUSE_TRACING_ENVIRONMENT"
        )
        if environment:
            _check_environment(environment, name)
        return LangfuseAccess(
            _check_host(host, name),
            keys["public"],
            keys["secret"],
            environment,
            _given_or(self.release, "release", "LANGFUSE_RELEASE")[1],
            tuple(self.tags),
        )


def _given_or(given: str, name: str, *variables: str) -> tuple[str, str]:
    """What says a value, and the value: what was given, else the first variable that is set."""
    for variable in () if given else variables:
        if value := os.environ.get(variable, "").strip():
            return variable, value
    return f"{WHERE}.{name}", given


def _check_host(host: str, where: str) -> str:
    """`host` without a slash at its end, if it can be a server's URL and holds no key."""
    if "@" in host:
        raise ConfigError(
            f"{where} holds a user or a key; keys belong into public_key and secret_key"
        )
    return check_url(host, where).rstrip("/")


def _check_key(key: str, side: str, where: str) -> None:
    """Return if `key` can be the project's key of that side; it is never shown."""
    if not (PUBLIC_KEY if side == "public" else SECRET_KEY).fullmatch(key):
        raise ConfigError(
            f"{where} holds characters a key cannot have, such as a blank or a line end"
        )
    other = "sk-lf-" if side == "public" else "pk-lf-"
    if key.startswith(other):
        raise ConfigError(f"{where} begins with {other}, as the other key does; are they swapped?")


def _check_environment(environment: str, where: str) -> None:
    if not ENVIRONMENT.fullmatch(environment):
        raise ConfigError(
            f"{where} is {environment[:60]!r}; Langfuse takes up to 40 of a-z, 0-9, - and _, and nothing "
            "that begins with langfuse"
        )
