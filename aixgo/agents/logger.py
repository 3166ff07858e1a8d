"""LoggerAgent: writes a line for each message and passes it on unchanged."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import ClassVar, Self, cast

from aixgo.agents.base import own_keys
from aixgo.keys import Key, check_given
from aixgo.message import Message
from aixgo.names import check_name

__all__ = ["AGENT", "LoggerAgent"]

log = logging.getLogger("aixgo.agents.logger")

LEVELS = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}
SHOWN = 1_000  # characters of a payload that one line shows


class LoggerAgent:
    """Logs each message's type, source and size; its payload only with `log_payload`, for logs are kept long."""

    role = "logger"
    config_keys: ClassVar[Mapping[str, Key]] = {
        "description": Key("text", "what the agent is for, shown to people and routers"),
        "log_payload": Key(
            "boolean", "log what messages say, not only that they came", default=False
        ),
        "level": Key("text", "of the log lines", choices=tuple(LEVELS), default="info"),
    }

    def __init__(
        self, name: str, *, log_payload: bool = False, level: str = "info", description: str = ""
    ) -> None:
        self.name = check_name(name)
        self.description = description
        check_given(self.config_keys, f"logger {name!r}", log_payload=log_payload)
        self.log_payload = log_payload
        self._level = LEVELS[str(self.config_keys["level"].check(level, f"logger {name!r}: level"))]

    @classmethod
    def from_config(cls, name: str, entry: Mapping[str, object]) -> Self:
        """The agent of a YAML entry."""
        settings = own_keys(cls.config_keys, entry, f"agent {name!r}")
        return cls(name, **cast("dict[str, str]", settings))  # type: ignore[arg-type]  # checked by their keys

    async def execute(self, message: Message) -> Message:
        """Log `message` and give it back."""
        log.log(
            self._level,
            "%s: %r from %r, %s, %d bytes%s",
            self.name,
            message.type,
            message.source,
            message.content_type,
            message.size,
            f": {message.text[:SHOWN]}" if self.log_payload else "",
        )
        return message


AGENT = LoggerAgent
