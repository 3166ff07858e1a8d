"""`observability:` and `logging:` of a file, as the settings they stand for.

Nothing of OpenTelemetry is imported here. Below: observability, config.check. Above: config.parse.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from aixgo.config.check import Findings
from aixgo.config.read import Block
from aixgo.errors import ConfigError
from aixgo.keys import Key, Secret
from aixgo.message import JSONValue
from aixgo.observability.logs import LOG_KEYS, LogSettings
from aixgo.observability.settings import KEYS, Settings

__all__ = ["read_logging", "read_observability"]

T = TypeVar("T", Settings, LogSettings)


def read_observability(block: Block, folder: Path, findings: Findings) -> Settings:
    """What a file wants traced; what is wrong with it goes to `findings`, and no header's value does.

    The file that traces go to is named relative to `folder`.
    """
    given = block.get("observability")
    if not isinstance(given, Block):
        return Settings()
    values = _good(given, KEYS)
    if isinstance(headers := given.get("headers"), Block):
        values["headers"] = _headers(headers, findings)
    if isinstance(file := values.get("file"), str) and file:
        values["file"] = str(folder / Path(file).expanduser())
    return _settings(Settings, values, given, findings) or Settings()


def read_logging(block: Block, findings: Findings) -> LogSettings | None:
    """What a file says about the log, None if nothing; what is wrong with it goes to `findings`."""
    given = block.get("logging")
    if not isinstance(given, Block):
        return None
    return _settings(LogSettings, _good(given, LOG_KEYS), given, findings)


def _good(given: Block, keys: Mapping[str, Key]) -> dict[str, object]:
    """The values that are right by themselves; the others have been reported."""
    found: dict[str, object] = {}
    for name, key in keys.items():
        if name in given:
            with suppress(ConfigError):
                found[name] = key.check(given[name], name)
    return found


def _settings(
    kind: type[T], values: dict[str, object], given: Block, findings: Findings
) -> T | None:
    try:
        return kind(**values)  # type: ignore[arg-type]  # each was checked by its key
    except ConfigError as exc:
        found = re.match(r"\w+\.(\w+)", str(exc))
        line = given.lines.get(found[1], given.line) if found is not None else given.line
        findings.fault(line, "", f"key {exc}")
        return None


def _headers(given: Block, findings: Findings) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in given.items():
        where = f"observability.headers.{name}"
        if isinstance(value, str) or _is_number(value):
            found[name] = str(value)
        else:
            findings.fault(given.lines[name], where, "must be text")
        if _is_credential(name) and not isinstance(value, Secret):
            findings.notices.append(
                f"{findings.file}:{given.lines[name]}: {where}: a key stands in the file; "
                "write ${NAME} and set the variable"
            )
    return found


def _is_number(value: JSONValue) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_credential(name: str) -> bool:
    return re.search(r"auth|key|token|secret", name, re.IGNORECASE) is not None
