"""`observability:` and `logging:` of a file, as the settings they stand for.

Nothing of OpenTelemetry is imported here. Below: observability, config.check. Above: config.parse.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from aixgo.config.check import Findings
from aixgo.config.env import ALLOWED_PREFIX, MORE_VARIABLE, secrets_in
from aixgo.config.models import on_this_machine, origin
from aixgo.config.read import Block, position
from aixgo.errors import ConfigError
from aixgo.keys import Key, Secret
from aixgo.message import JSONValue
from aixgo.observability.langfuse import LANGFUSE_KEYS, LangfuseSettings
from aixgo.observability.logs import LOG_KEYS, LogSettings
from aixgo.observability.settings import KEYS, Settings, is_credential

__all__ = ["read_logging", "read_observability"]

ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")

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
    elif (endpoint := values.get("endpoint")) and not _is_known(str(endpoint), *ENDPOINTS):
        values["headers"] = {}  # those of the environment are for another collector
    if isinstance(langfuse := given.get("langfuse"), Block):
        values["langfuse"] = _langfuse(langfuse, findings)
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
        _check_secret(value, given.lines[name], where, findings)
        if is_credential(name) and not isinstance(value, Secret):
            at = position(findings.file, given.lines[name])
            findings.notices.append(
                f"{at}: {where}: a key stands in the file; write ${{NAME}} and set the variable"
            )
    return found


def _check_secret(value: JSONValue, line: int, where: str, findings: Findings) -> None:
    """A vendor's key is for that vendor, however it came to stand here."""
    for variable in secrets_in(value) if isinstance(value, str) else ():
        findings.fault(
            line,
            where,
            f"a file may not send the key in {variable} to whoever receives traces; write a key for them as "
            f"${{{ALLOWED_PREFIX}…}}, or allow it with {MORE_VARIABLE}={variable}",
        )


def _langfuse(given: Block, findings: Findings) -> LangfuseSettings | None:
    """A file may come from somebody else: keys of the environment go to no server that only a file names."""
    values = _good(given, LANGFUSE_KEYS)
    try:
        found = LangfuseSettings(**values)  # type: ignore[arg-type]  # each was checked by its key
    except ConfigError as exc:
        name = re.match(r"[\w.]+\.(\w+)", str(exc))
        line = given.lines.get(name[1], given.line) if name is not None else given.line
        findings.fault(line, "", f"key {exc}")
        return None
    for key in ("public_key", "secret_key"):
        where = f"observability.langfuse.{key}"
        _check_secret(given.get(key), given.lines.get(key, given.line), where, findings)
    if found.host and not (found.public_key and found.secret_key) and not _known_place(found.host):
        findings.fault(
            given.lines["host"],
            "observability.langfuse",
            "the file names the server, so it has to name both keys, such as 'secret_key: "
            "${AIXGO_LANGFUSE_SECRET_KEY}'; or set LANGFUSE_BASE_URL instead of naming the server in the file",
        )
    return found


def _known_place(host: str) -> bool:
    """Whether the environment's keys may go there: Langfuse's own cloud, the environment's server, this machine."""
    place = origin(host)
    if place is None:
        return False
    cloud = place[0] == "https" and f".{place[1]}".endswith(".cloud.langfuse.com")
    return cloud or _is_known(host, "LANGFUSE_BASE_URL", "LANGFUSE_HOST")


def _is_known(url: str, *variables: str) -> bool:
    """Whether `url` leads to where one of the variables does, or to this machine."""
    place = origin(url)
    own = {origin(os.environ.get(name, "").strip()) for name in variables}
    return place is not None and (place in own or on_this_machine(url))


def _is_number(value: JSONValue) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
