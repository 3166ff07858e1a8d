"""Whether a text can be the URL of a server. Below: errors. Above: settings, langfuse."""

from __future__ import annotations

from urllib.parse import urlsplit

from aixgo.errors import ConfigError

__all__ = ["check_url"]


def check_url(url: str, where: str) -> str:
    """`url`, if it can be one of a server.

    Raises:
        ConfigError: it names no http or https host.
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as exc:
        raise ConfigError(f"{where} is no URL: {exc}") from exc
    if parts.scheme not in ("http", "https") or not host:
        raise ConfigError(f"{where} must be a URL such as http://localhost:4318, not {url[:80]!r}")
    return url
