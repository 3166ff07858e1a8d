"""What can be seen of a reply, an error or a chunk, as plain JSON values that two runtimes can be compared by.

Ids are drawn at random in every run: `canonical` replaces each by the order in which it first shows, so
that what is compared is which of them are the same. Below: aixgo. Above: actors and the interpreter, which
both record through these.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping

from aixgo import AixgoError, CallContext, Message, StreamChunk, Usage

__all__ = ["Seen", "canonical", "chunk", "context", "error", "message", "short"]

Seen = dict[str, object]

IDS = re.compile(r"\b([0-9a-f]{12}|[0-9a-f]{16}|[0-9a-f]{32})\b")  # of errors, instances, messages
SHOWN = 200  # characters of a value that are kept; of longer ones the length and a digest


def short(value: object) -> str:
    """`value` as text that tells it from every other value; ids in it are made the same."""
    text = IDS.sub("#", repr(value))
    if len(text) <= SHOWN:
        return text
    digest = hashlib.sha256(text.encode(errors="backslashreplace")).hexdigest()[:12]
    return f"{text[:40]}… {len(text)} {digest}"


def message(given: Message) -> Seen:
    """A message as its receiver has it; the trace of an actor is kept whole."""
    payload = given.payload
    return {
        "id": given.id,
        "payload": payload if _is_trace(payload) else short(payload),
        "content_type": given.content_type,
        "kind": given.type,
        "metadata": short(sorted(given.metadata.items())),
        "source": given.source,
        "usage": _usage(given.usage),
    }


def error(raised: AixgoError) -> Seen:
    """An error as its caller has it."""
    return {
        "id": raised.error_id,
        "error": type(raised).__name__,
        "text": short(str(raised)),
        "fields": short(sorted(raised.wire_fields().items())),
        "agent": raised.agent,
        "retryable": raised.retryable,
    }


def chunk(given: StreamChunk) -> Seen:
    """A chunk as its reader has it."""
    return {
        "kind": given.type,
        "content": short(given.content),
        "tool_calls": short(given.tool_calls),
        "source": given.source,
        "path": list(given.path),
        "sequence": given.sequence,
        "status": given.status,
        "error": None if given.error is None else error(given.error),
        "usage": None if given.usage is None else _usage(given.usage),
        "timestamp": given.timestamp,
    }


def context(given: CallContext, received: Message, *, named: bool = True) -> Seen:
    """What an agent finds in its context and its message; `named` includes the message's id."""
    budget = given.budget
    return {
        "agent": given.agent,
        "remaining": round(given.remaining, 3),
        "hops": [[hop.instance, hop.agent, hop.key] for hop in given.hops],
        "max_hops": given.max_hops,
        "key": given.key,
        "session": given.session,
        "principal": given.principal,
        "idempotency_key": given.idempotency_key,
        "budget": None if budget is None else [budget.usd, budget.tokens, budget.calls],
        "random": given.random.random(),
        "received": {
            "id": received.id if named else "",
            "kind": received.type,
            "source": received.source,
            "metadata": short(sorted(received.metadata.items())),
            "usage": _usage(received.usage),
        },
    }


def _is_trace(payload: object) -> bool:
    return isinstance(payload, dict) and isinstance(payload.get("trace"), list)


def _usage(given: Usage) -> list[int]:
    return [
        given.cost_nanos,
        given.tokens_prompt,
        given.tokens_completion,
        given.tokens_cached,
        given.tokens_reasoning,
        given.calls,
    ]


def canonical(value: object, home: Callable[[str], str]) -> object:
    """`value` with its ids numbered as they appear; `home` tells the instance that hosts an agent."""
    numbers: dict[object, int] = {}

    def walk(value: object, name: str = "") -> object:
        if isinstance(value, Mapping):
            return {key: walk(item, key) for key, item in value.items()}
        if name == "hops" and isinstance(value, list):
            return [["home" if home(agent) == at else at, agent, key] for at, agent, key in value]
        if isinstance(value, (list, tuple)):
            return [walk(item) for item in value]
        if name == "id" and value:
            return numbers.setdefault(value, len(numbers) + 1)
        return short(value) if isinstance(value, str) and len(value) > SHOWN else value

    return walk(value)
