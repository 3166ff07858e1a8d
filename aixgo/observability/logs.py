"""What can be set about the log, and how it is set: levels, the form of a line, and where it goes.

aixgo logs through the standard library, to loggers below `aixgo`, and importing it installs nothing. `setup_logs`
is for programs that leave the log to us: the command line, and a configuration with `logging:`.

Below: keys, lines. Above: config, the command line, users.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Self, TypeAlias, TypedDict, Unpack

from aixgo.errors import ConfigError
from aixgo.keys import Key
from aixgo.observability.lines import CallFields, JsonFormatter, TextFormatter

__all__ = ["LOG_KEYS", "Level", "LogFormat", "LogOptions", "LogSettings", "Logs", "setup_logs"]

Level: TypeAlias = Literal["debug", "info", "warning", "error", "critical"]
LogFormat: TypeAlias = Literal["text", "json"]

LEVELS: Mapping[str, int] = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
    "critical": logging.CRITICAL,
}
OURS = "aixgo"
OTHERS = logging.WARNING  # of libraries: below it, some of them log what a model was asked

LOG_KEYS: Mapping[str, Key] = {
    "level": Key(
        "text",
        "of what aixgo and agents beside the file log; of other libraries, warnings are shown",
        default="info",
        choices=tuple(LEVELS),
    ),
    "format": Key(
        "text",
        "how a line looks: for people, or as one JSON object",
        ("text", "json"),
        default="text",
    ),
    "loggers": Key("mapping", "levels of single loggers, such as `httpx: info`"),
    "include_identity": Key(
        "boolean", "a JSON line says for which principal and tenant a call is made", default=False
    ),
}


@dataclass(slots=True, frozen=True, kw_only=True)
class LogSettings:
    """What `setup_logs` takes; each is described in docs/observability.md.

    Raises:
        ConfigError: a value cannot be right; the text says which and why.
    """

    level: Level = "info"
    format: LogFormat = "text"
    loggers: Mapping[str, Level] = field(default_factory=dict)
    include_identity: bool = False

    def __post_init__(self) -> None:
        for name, key in LOG_KEYS.items():
            key.check(getattr(self, name), f"logging.{name}")
        for name, level in self.loggers.items():
            LOG_KEYS["level"].check(level, f"logging.loggers.{name}")

    def formatter(self) -> logging.Formatter:
        """What makes the lines."""
        if self.format == "json":
            return JsonFormatter(include_identity=self.include_identity)
        return TextFormatter()


class LogOptions(TypedDict, total=False):
    """The keywords of `setup_logs`."""

    level: Level
    format: LogFormat
    loggers: Mapping[str, Level]
    include_identity: bool


class Logs:
    """A log that was set up; `close` it, or use it as a context, and everything is as before."""

    def __init__(self, settings: LogSettings) -> None:
        self.settings = settings
        self._handler: logging.Handler | None = None
        self._levels: dict[str, int] = {}

    def open(self, *, formatter: logging.Formatter | None = None, force: bool = False) -> None:
        """Set levels and, unless the program has handlers of its own, write to standard error.

        `force` takes the place of those handlers; `formatter` that of the settings' own.
        """
        root = logging.getLogger()
        if force or not root.handlers:
            handler = self._handler = logging.StreamHandler(sys.stderr)
            handler.setFormatter(formatter or self.settings.formatter())
            handler.addFilter(CallFields())
            if force:
                logging.basicConfig(handlers=[handler], level=OTHERS, force=True)
            else:
                root.addHandler(handler)
        chosen = {OURS: self.settings.level, **self.settings.loggers}
        for name, level in chosen.items():
            logger = logging.getLogger(name)
            self._levels[name] = logger.level
            logger.setLevel(LEVELS[level])

    def close(self) -> None:
        """Give back what was changed. Doing it twice is fine."""
        if self._handler is not None:
            logging.getLogger().removeHandler(self._handler)
            self._handler = None
        for name, level in self._levels.items():
            logging.getLogger(name).setLevel(level)
        self._levels = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def setup_logs(settings: LogSettings | None = None, /, **options: Unpack[LogOptions]) -> Logs:
    """Write the log to standard error as `settings`, or the keywords, say.

    A program that has installed handlers itself keeps them, and only levels are set: give its handlers
    `aixgo.observability.JsonFormatter()` for the same lines.

    Raises:
        ConfigError: a setting cannot be right.
    """
    if settings is not None and options:
        raise ConfigError("give setup_logs() either settings or keywords")
    made = Logs(settings or LogSettings(**options))
    made.open()
    return made
