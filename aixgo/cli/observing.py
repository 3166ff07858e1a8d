"""The options by which a command is told what to trace and how to log; they stand over those of a file.

Below: config, observability. Above: run, serve, dev, call.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, TypeAlias, cast

import typer

from aixgo.config import Config
from aixgo.errors import ConfigError
from aixgo.observability import LogSettings, Settings
from aixgo.observability.logs import LOG_KEYS, Level
from aixgo.observability.logs import LogFormat as Form
from aixgo.observability.settings import Exporter, check_url, prometheus_address

__all__ = ["LogFormat", "LogLevel", "Observing", "Otel", "Prometheus"]

Otel: TypeAlias = Annotated[
    str,
    typer.Option(
        "--otel",
        envvar="AIXGO_OTEL",
        metavar="WHERE",
        help="Where traces go: otlp, a collector's URL, console, file:PATH, or none.",
    ),
]
Prometheus: TypeAlias = Annotated[
    str,
    typer.Option(
        "--prometheus",
        envvar="AIXGO_PROMETHEUS",
        metavar="HOST:PORT",
        help="Where Prometheus finds the metrics; a port alone is one of this machine.",
    ),
]
LogFormat: TypeAlias = Annotated[
    str,
    typer.Option(
        "--log-format", envvar="AIXGO_LOG_FORMAT", help="How the log looks: text or json."
    ),
]
LogLevel: TypeAlias = Annotated[
    str,
    typer.Option(
        "--log-level",
        envvar="AIXGO_LOG_LEVEL",
        help="Of our log: debug, info, warning, error or critical.",
    ),
]

FILE = "file:"
WORDS = ("otlp", "console", "none")


@dataclass(slots=True, frozen=True, kw_only=True)
class Observing:
    """What those options say; an empty text says nothing."""

    otel: str = ""
    prometheus: str = ""
    log_format: str = ""
    log_level: str = ""

    @property
    def flags(self) -> list[str]:
        """The same options, for the processes a command starts."""
        given = {"--log-format": self.log_format, "--log-level": self.log_level}
        given["--otel"] = _with_whole_path(self.otel)
        given["--prometheus"] = self.prometheus
        return [part for name, value in given.items() if value for part in (name, value)]

    def over(self, config: Config) -> Config:
        """`config` with what the command line says.

        Raises:
            ConfigError: an option has a value it cannot have.
        """
        traces, log = self.traces(config.observability), self.log(config.logging)
        return replace(config, observability=traces, logging=log)

    def traces(self, settings: Settings | None = None) -> Settings:
        """`settings` with what `--otel` and `--prometheus` say. Headers go to no other collector than they were for.

        Raises:
            ConfigError: one names nothing that could be sent to, or listened at.
        """
        found, otel = settings or Settings(), self.otel
        if self.prometheus:
            prometheus_address(self.prometheus, "--prometheus")
            found = replace(found, enabled=True, prometheus=self.prometheus)
        if not otel:
            return found
        if otel == "none":
            return replace(found, exporter="none", langfuse=None)
        if otel in WORDS:
            return replace(found, enabled=True, exporter=cast("Exporter", otel))
        if otel.startswith(FILE) and otel != FILE:
            path = _with_whole_path(otel).removeprefix(FILE)
            return replace(found, enabled=True, exporter="file", file=path)
        if "://" not in otel:
            raise ConfigError(f"--otel {otel!r}: give {', '.join(WORDS)}, file:PATH or a URL")
        url = check_url(otel, "--otel")
        headers = found.headers if url == found.endpoint else None
        return replace(found, enabled=True, exporter="otlp", endpoint=url, headers=headers)

    def log(self, settings: LogSettings | None = None) -> LogSettings:
        """`settings`, or the usual ones, with what `--log-format` and `--log-level` say.

        Raises:
            ConfigError: there is no such format or level.
        """
        found = settings or LogSettings()
        if self.log_format:
            LOG_KEYS["format"].check(self.log_format, "--log-format")
            found = replace(found, format=cast("Form", self.log_format))
        if self.log_level:
            LOG_KEYS["level"].check(self.log_level, "--log-level")
            found = replace(found, level=cast("Level", self.log_level))
        return found


def _with_whole_path(otel: str) -> str:
    if not otel.startswith(FILE) or otel == FILE:
        return otel
    return f"{FILE}{Path(otel.removeprefix(FILE)).expanduser().absolute()}"
