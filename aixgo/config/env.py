"""`${NAME}` in a configuration: which variables of the environment a file may read, and where.

A file may come from somebody else, so it cannot read the whole environment: only variables that are
meant for it. Secrets expand only in keys that hold secrets, never in a prompt or an address.

Below: errors, providers. Above: config.read.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

from aixgo.errors import ConfigError
from aixgo.providers import VENDORS

__all__ = [
    "ALLOWED",
    "ALLOWED_PREFIX",
    "HIDDEN_KEYS",
    "MORE_VARIABLE",
    "SECRETS",
    "SECRET_KEYS",
    "expand",
    "for_files",
    "is_secret",
    "secrets_in",
]

ALLOWED_PREFIX = "AIXGO_"
ALLOWED = frozenset({"HOME", "HOST", "HOSTNAME", "LOG_LEVEL", "PORT", "TMPDIR", "USER"})
SECRETS = frozenset(name for vendor in VENDORS.values() for name in vendor.key_variables)
SECRET_KEYS = frozenset(
    {"anthropic_key", "api_key", "huggingface_key", "openai_key", "password", "token"}
)
HIDDEN_KEYS = SECRET_KEYS | {"secret_key"}
"""Keys whose values no text shows; the last is of a service that no vendor's key is for."""
MORE_VARIABLE = "AIXGO_CONFIG_ENV"
"""Names, separated by commas, that whoever starts the program allows besides."""

_REFERENCE = re.compile(r"\$(\$?)\{([A-Z_][A-Z0-9_]*)(?::-([^}]*))?\}")


def expand(text: str, *, key: str = "", environ: Mapping[str, str] | None = None) -> str:
    """`text` with `${NAME}` and `${NAME:-default}` replaced; `$${NAME}` stands for itself.

    Args:
        text: the value as written.
        key: the key it belongs to, which decides whether a secret may stand there.
        environ: where the variables are, by default the process's environment.

    Raises:
        ConfigError: a variable is not set and has no default, or a file may not read it here.
    """
    variables = os.environ if environ is None else environ
    more = _more(environ)

    def replace(match: re.Match[str]) -> str:
        escaped, name, default = match.groups()
        if escaped:
            return match.group(0)[1:]
        _check_allowed(name, key, more)
        value = variables.get(name) or default
        if value is None:
            raise ConfigError(f"${{{name}}} is not set in the environment")
        return value

    return _REFERENCE.sub(replace, text)


def is_secret(name: str) -> bool:
    """Whether the variable holds a key, of a vendor or of a caller of ours."""
    return name in SECRETS or name.startswith("AIXGO_API_KEY")


def secrets_in(text: str) -> list[str]:
    """The variables whose key stands in `text`, but for those whose value files may have."""
    held = {name: value.strip() for name, value in os.environ.items() if value.strip()}
    free = {value for name, value in held.items() if for_files(name)}
    return [
        name
        for name, value in held.items()
        if is_secret(name) and value in text and value not in free
    ]


def for_files(name: str, environ: Mapping[str, str] | None = None) -> bool:
    """Whether the variable is meant for files, so that they may do with it what they like."""
    return name in _more(environ) or (name.startswith(ALLOWED_PREFIX) and not is_secret(name))


def _more(environ: Mapping[str, str] | None) -> set[str]:
    variables = os.environ if environ is None else environ
    return {name.strip() for name in variables.get(MORE_VARIABLE, "").split(",")}


def _check_allowed(name: str, key: str, more: set[str]) -> None:
    secret = is_secret(name)
    if name in more:
        return
    if secret and key not in SECRET_KEYS:
        raise ConfigError(
            f"${{{name}}} is a secret and may only stand in: {', '.join(sorted(SECRET_KEYS))}"
        )
    if not (secret or name in ALLOWED or name.startswith(ALLOWED_PREFIX)):
        raise ConfigError(
            f"a file may not read ${{{name}}}; allow it with {MORE_VARIABLE}={name}, "
            f"or write $${{{name}}} for the text itself"
        )
