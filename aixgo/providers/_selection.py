"""Which model an agent gets, and which provider gives it.

An agent that names a model gets that model or an error, never another. One that names none gets, in this
order: the run's, the file's default, `AIXGO_MODEL`, and `offline` with a notice. `AIXGO_OFFLINE=1`, which
`--offline` sets, replaces all.
"""

from __future__ import annotations

import logging
import os
from functools import cache

from aixgo.errors import ConfigError
from aixgo.loading import kinds, load
from aixgo.providers.base import Provider

__all__ = ["choose_model", "resolve_model"]

OFFLINE = "offline"

log = logging.getLogger("aixgo.providers")


def choose_model(explicit: str = "", *, run_model: str = "", default_model: str = "") -> str:
    """The name of the model to use: the first one given."""
    if os.environ.get("AIXGO_OFFLINE", "") not in ("", "0"):
        return OFFLINE
    chosen = explicit or run_model or default_model or os.environ.get("AIXGO_MODEL", "")
    if not chosen:
        _notice_offline()
    return chosen or OFFLINE


def resolve_model(model: str) -> tuple[Provider, str]:
    """The provider of `model`, written `provider:model`, and the model's name there.

    Raises:
        ConfigError: this version has no such provider or model; the text says which there are.
        MissingExtra: the provider's package is not installed.
    """
    vendor, colon, rest = model.partition(":")
    existing = kinds("providers")
    if vendor not in existing:
        asked = (
            f"the provider {vendor!r}, whose extra is not" if colon else "a provider that is not"
        )
        raise ConfigError(
            f"the model {model!r} needs {asked} in this version; there are: {', '.join(existing)}. "
            "Write 'model: offline', or run with --offline"
        )
    provider: Provider = load("providers", vendor).PROVIDER()
    name = rest or vendor
    if name not in provider.models():
        raise ConfigError(
            f"{vendor!r} has no model {name!r}; it has: {', '.join(provider.models())}"
        )
    return provider, name


@cache
def _notice_offline() -> None:
    """Say once per process that answers come from no model."""
    log.warning(
        "no model is named, so answers come from the offline provider; set AIXGO_MODEL or 'model:'"
    )
