"""What an agent remembers of its sessions: the turns of each, bounded, and whether one is under way.

Below: providers. Above: chat.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import cast, get_args

from aixgo.errors import ConfigError, SessionBusy
from aixgo.ledger import Usage
from aixgo.message import JSONValue
from aixgo.providers import ChatMessage, ToolCall
from aixgo.providers.base import Role

__all__ = [
    "MAX_HISTORY",
    "Conversation",
    "Conversations",
    "as_dict",
    "read_messages",
    "status_of",
]

MAX_SESSIONS = 1_000  # of one agent; the one that was used longest ago is forgotten
MAX_HISTORY = 200  # messages of one session
MAX_CHARACTERS = 2_000_000  # of one session
MAX_ALL = 50_000_000  # characters of all sessions of one agent
MAX_TASK = 200  # characters of what an agent works on, as its status shows it
CALL = ("id", "name", "arguments")


class Conversation:
    """One session's turns. They change only when a chat ends well."""

    def __init__(self, session_id: str, limit: int) -> None:
        self.session_id = session_id
        self.turns: list[ChatMessage] = []
        self.created_at = time.time()
        self.status = "ready"
        self.task = ""
        self.error = ""
        self.busy = False
        self.size = 0
        """Characters of the turns."""
        self._limit = limit

    @contextmanager
    def under_way(self, agent: str, task: str) -> Iterator[None]:
        """Hold the session for one chat.

        Raises:
            SessionBusy: it has one.
        """
        if self.busy:
            raise SessionBusy(agent)
        self.busy = True
        self.status, self.task, self.error = "working", task[:MAX_TASK], ""
        try:
            yield
        except Exception as exc:
            self.status, self.error = "failed", f"{type(exc).__name__}: {exc}"[:MAX_TASK]
            raise
        except BaseException:
            self.status = "cancelled"
            raise
        else:
            self.status = "completed"
        finally:
            self.busy, self.task = False, ""

    def keep(self, turns: Sequence[ChatMessage]) -> None:
        """Remember `turns` and nothing else; what is too much is dropped from the front.

        What is left begins with a message of the user, so that no result of a tool stands without its call;
        messages of the system stay before it.
        """
        sizes = [_size(turn) for turn in turns]
        start, total = len(turns), 0
        while (
            start
            and len(turns) - start < self._limit
            and total + sizes[start - 1] <= MAX_CHARACTERS
        ):
            start -= 1
            total += sizes[start]
        kept = list(turns[start:])
        if start:
            first = next((i for i, turn in enumerate(kept) if turn.role == "user"), len(kept))
            rules = [
                turn
                for turn, size in zip(turns[:start], sizes, strict=False)
                if turn.role == "system" and size <= MAX_CHARACTERS // self._limit
            ]
            kept = rules[: self._limit // 2] + kept[first:]
        self.turns, self.size = kept, sum(map(_size, kept))


class Conversations:
    """The sessions of one agent, by id."""

    def __init__(self, limit: int) -> None:
        if limit < 1:
            raise ConfigError(f"max_history is {limit}; it must be at least 1")
        self._limit = limit
        self._found: OrderedDict[str, Conversation] = OrderedDict()

    def get(self, session_id: str) -> Conversation:
        """The session's conversation, a new one if there is none."""
        found = self._found.get(session_id)
        if found is None:
            found = self._found[session_id] = Conversation(session_id, self._limit)
        self._found.move_to_end(session_id)
        self._forget(session_id)
        return found

    def drop(self, session_id: str) -> None:
        """Forget the session."""
        self._found.pop(session_id, None)

    def _forget(self, but: str) -> None:
        size = sum(found.size for found in self._found.values())
        while len(self._found) > MAX_SESSIONS or size > MAX_ALL:
            idle = next(
                (id_ for id_, found in self._found.items() if not (found.busy or id_ == but)), None
            )
            if idle is None:
                return
            size -= self._found.pop(idle).size


def read_messages(given: Sequence[Mapping[str, object] | ChatMessage]) -> list[ChatMessage]:
    """Messages as users write them, `{"role": "user", "content": "…"}`.

    Raises:
        ConfigError: which of them is none, and why.
    """
    if isinstance(given, (str, Mapping)):
        raise ConfigError('messages must be a list such as [{"role": "user", "content": "hello"}]')
    found = []
    for index, item in enumerate(given):
        if isinstance(item, ChatMessage):
            found.append(item)
            continue
        where = f"messages[{index}]"
        if not isinstance(item, Mapping):
            raise ConfigError(f"{where} must be a mapping with role and content")
        role, content = item.get("role"), item.get("content")
        if role not in get_args(Role):
            raise ConfigError(f"{where}: role is {role!r}, none of: {', '.join(get_args(Role))}")
        if not isinstance(content, str):
            raise ConfigError(f"{where}: content must be text, not {type(content).__name__}")
        found.append(
            ChatMessage(
                cast("Role", role),
                content,
                tool_calls=_calls(item.get("tool_calls") or (), f"{where}.tool_calls"),
                tool_call_id=str(item.get("tool_call_id", "")),
            )
        )
    return found


def _calls(given: object, where: str) -> tuple[ToolCall, ...]:
    """Tool calls as `as_dict` writes them."""
    if not isinstance(given, Sequence) or isinstance(given, str):
        raise ConfigError(f"{where} must be a list of mappings with id, name and arguments")
    found = []
    for index, call in enumerate(given):
        parts = [call.get(key, "") for key in CALL] if isinstance(call, Mapping) else []
        if not parts or not all(isinstance(part, str) for part in parts) or not parts[1]:
            raise ConfigError(
                f"{where}[{index}] must be a mapping with id, name and arguments, all text"
            )
        found.append(ToolCall(*parts))
    return tuple(found)


def _size(turn: ChatMessage) -> int:
    """About the characters it takes to keep a turn."""
    calls = sum(len(call.arguments) for call in turn.tool_calls)
    images = sum(len(image.data) + len(image.url) for image in turn.images)
    return len(turn.content) + calls + images


def as_dict(turn: ChatMessage) -> dict[str, JSONValue]:
    """A turn as users write it."""
    found: dict[str, JSONValue] = {"role": turn.role, "content": turn.content}
    if turn.tool_calls:
        found["tool_calls"] = [
            {"id": call.id, "name": call.name, "arguments": call.arguments}
            for call in turn.tool_calls
        ]
    if turn.tool_call_id:
        found["tool_call_id"] = turn.tool_call_id
    return found


def status_of(
    conversation: Conversation, usage: Usage, model: str, provider: str
) -> dict[str, JSONValue]:
    """What an agent says of itself about a session, and of what it has spent in all."""
    return {
        "session_id": conversation.session_id,
        "status": conversation.status,
        "backend": provider,
        "conversation_length": len(conversation.turns),
        "current_task": conversation.task,
        "error_message": conversation.error,
        "created_at": conversation.created_at,
        "total_tokens": usage.tokens_total,
        "token_usage": {
            "input_tokens": usage.tokens_prompt,
            "output_tokens": usage.tokens_completion,
            "cached_input_tokens": usage.tokens_cached,
            "cache_write_input_tokens": usage.tokens_cache_write,
            "reasoning_tokens": usage.tokens_reasoning,
            "total_tokens": usage.tokens_total,
            "estimated_cost": usage.cost_usd,
            "calls": usage.calls,
            "model": model,
            "provider": provider,
        },
    }
