"""Errors on their way between processes: every class by name, and an error made again from its fields.

Below: all classes. Above: whatever carries an error.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from aixgo.errors.agents import AgentFailed, AgentRefused
from aixgo.errors.base import AixgoError, FieldValue

if TYPE_CHECKING:
    from aixgo.domain import JSONValue

__all__ = [
    "MAX_PARTIAL",
    "error_classes",
    "partial_bytes",
    "read_partial",
    "rebuild_error",
    "words_for_anybody",
]

PACKAGE = f"{__package__}."
MAX_FIELD_BITS = 1024  # of an integer in one field
MAX_PARTIAL = 4096  # bytes of the partial results that go with an error, as JSON


def error_classes() -> dict[str, type[AixgoError]]:
    """Every error class by name, the vocabulary two processes share."""
    found: dict[str, type[AixgoError]] = {}
    pending: list[type[AixgoError]] = [AixgoError]
    while pending:
        cls = pending.pop()
        if cls.__module__.startswith(PACKAGE):  # a user's own class is none of them
            found[cls.__name__] = cls
            pending.extend(cls.__subclasses__())
    return found


def rebuild_error(
    kind: str,
    fields: Mapping[str, FieldValue],
    *,
    agent: str = "",
    error_id: str = "",
    partial: list[JSONValue] | None = None,
) -> AixgoError:
    """The error `kind` with `fields`, as its own class; a kind nobody knows becomes `AgentFailed`.

    Both legs of a call use it: a local failure is rebuilt from the same fields a remote one crosses
    with, so that class, text and retryability do not depend on where the agent runs.
    """
    cls = error_classes().get(kind, AgentFailed)
    sound = {name: _sound(value) for name, value in fields.items()}
    sound = {name: value for name, value in sound.items() if value is not None}
    try:
        error = cls.from_fields(sound) if cls is not AgentFailed else AgentFailed(agent, error_id)
    except (TypeError, ValueError):  # a peer sent fields of the wrong shape
        error = AgentFailed(agent, error_id)
    error.agent = agent
    error.error_id = error_id
    if partial is not None:
        error.partial = read_partial(partial_bytes(partial))
    return error


def words_for_anybody(error: AixgoError) -> str:
    """What `error` may say where nobody asked for what agents say: what its class says of its fields, or "".

    The words of a refusal are an agent's own, and may repeat what it was asked.
    """
    if not error.fields or isinstance(error, AgentRefused):
        return ""
    kind, fields = type(error).__name__, error.wire_fields()
    return str(rebuild_error(kind, fields, agent=error.agent, error_id=error.error_id))


def partial_bytes(partial: object) -> bytes:
    """The partial results of an error as JSON; nothing if they are none, or cannot cross."""
    import json  # rarely needed, and not at import

    if not isinstance(partial, list) or not partial:
        return b""
    try:
        text = json.dumps(partial, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError):
        return b""
    encoded = text.encode(errors="replace")
    return encoded if len(encoded) <= MAX_PARTIAL else b""


def read_partial(encoded: bytes) -> list[JSONValue] | None:
    """The partial results in `encoded`, which a peer may have sent; None if there are none."""
    import json

    if not encoded or len(encoded) > MAX_PARTIAL:
        return None
    try:
        found = json.loads(encoded)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, list) else None


def _sound(value: object) -> FieldValue:
    """`value`, which may be anything, as every process can have it; None if it can not.

    An error must cross, whatever was put into it.
    """
    if isinstance(value, str):
        return str.__str__(value).encode(errors="replace").decode()
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, int):
        return value if value is True or value is False else _bounded(int(value))
    return None


def _bounded(value: int) -> int | None:
    return value if value.bit_length() <= MAX_FIELD_BITS else None
