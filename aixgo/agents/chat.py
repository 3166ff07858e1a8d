"""ChatAgent: a model, a prompt, and tools.

`execute` and `stream` are what runtimes call; `chat` is for programs that talk to an agent directly and
want its history kept. All three run the same turn. Below: the turn. Above: react.
"""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import replace
from typing import ClassVar, Self, cast

import msgspec

from aixgo.agents._chunks import chunks_of
from aixgo.agents._conversation import (
    MAX_HISTORY,
    Conversation,
    Conversations,
    as_dict,
    read_messages,
    status_of,
)
from aixgo.agents._output import Output
from aixgo.agents._turn import MAX_ROUNDS, TRIES, Answer, Turn
from aixgo.agents.base import MODEL_KEYS, ModelUse, model_options, own_keys
from aixgo.context import CallContext
from aixgo.contract import Caller
from aixgo.errors import AgentFailed, AixgoError, ConfigError, new_error_id
from aixgo.keys import Key, check_given
from aixgo.ledger import Usage
from aixgo.message import JSONValue, Message, StreamChunk, new_id
from aixgo.names import check_name
from aixgo.providers import ChatMessage, ModelMiddleware, Provider
from aixgo.tools import FunctionTool, Tool, Toolbox, as_tool

__all__ = ["AGENT", "ChatAgent"]

log = logging.getLogger("aixgo.agents")

TRIES_KEY = Key("integer", "answers a model may give until one fits `output`", minimum=1)


class ChatAgent:
    """Answers each message with its model, which may call the agent's tools first.

    Metadata of a reply says which `model` and `provider` answered, `offline: true` when no model did, and, if
    tools ran, `rounds` and the names of the `tool_calls`. An agent that wanted more than `max_rounds` has to
    answer with what it has, and the reply says `stopped_by: "max_rounds"`.

    Args:
        name: what it is called.
        model: `provider:model`; see `aixgo.providers.choose_model`.
        prompt: the model's instructions.
        tools: functions or tools the model may call.
        output: the shape of an answer: a pydantic model, a dataclass, another type, or a JSON Schema. The
            payload of a reply is then a value of that shape.
        output_schema: the same as `output`, for a JSON Schema.
        tries: answers of a wrong shape before `OutputInvalid`, the first one included.
        max_rounds: times the model may ask for tools before it has to answer.
        remember: calls with a session id go on with that session's history.
        max_history: messages kept of one session; older ones are dropped.
        middleware: around every call of the model, first outermost; see `aixgo.resilience`.
        session_id: the session `chat` uses unless told another; made up when not given.
        description: what it is for, shown to people and routers.
        provider: asked instead of the one the model's name stands for.
        api_key: the vendor's key, by default the one in the vendor's variable. No text shows it.
        base_url: where the vendor's API is reached, by default where its variable says, or its own address.

    Raises:
        ConfigError: a tool, the output or a bound cannot be used.
    """

    role = "chat"
    takes_tools: ClassVar[bool] = True
    takes_policies: ClassVar[bool] = True
    config_keys: ClassVar[Mapping[str, Key]] = {
        **MODEL_KEYS,
        "output_schema": Key("mapping", "JSON Schema of the answer"),
        "max_rounds": Key(
            "integer", "times the model may ask for tools", default=MAX_ROUNDS, minimum=1
        ),
        "remember": Key("boolean", "go on with the history of a call's session", default=False),
        "max_history": Key(
            "integer", "messages kept of one session", default=MAX_HISTORY, minimum=1
        ),
    }

    def __init__(
        self,
        name: str,
        *,
        model: str = "",
        prompt: str = "",
        temperature: float | None = None,
        max_tokens: int | None = None,
        tools: Sequence[Tool | Callable[..., object]] = (),
        output: object = None,
        output_schema: Mapping[str, JSONValue] | None = None,
        tries: int = TRIES,
        max_rounds: int = MAX_ROUNDS,
        remember: bool = False,
        max_history: int = MAX_HISTORY,
        session_id: str = "",
        description: str = "",
        provider: Provider | None = None,
        middleware: Sequence[ModelMiddleware] = (),
        api_key: str = "",
        base_url: str = "",
    ) -> None:
        self.name = check_name(name)
        self.prompt = prompt
        self.description = description
        if output is not None and output_schema is not None:
            raise ConfigError(f"agent {name!r}: give output or output_schema, not both")
        check_given(
            {**self.config_keys, "tries": TRIES_KEY},
            f"agent {name!r}",
            tries=tries,
            max_rounds=max_rounds,
            remember=remember,
            max_history=max_history,
        )
        wanted = output_schema if output is None else output
        self._output = None if wanted is None else Output(wanted)
        self.output_schema = None if self._output is None else self._output.schema
        self.session_id = session_id or new_id()
        self._tools = Toolbox(tools)
        self._tries = tries
        self._max_rounds = max_rounds
        self._remember = remember
        self._conversations = Conversations(max_history)
        self._usage = Usage()
        self._answered_by = ("", "")  # model and provider of the last answer
        self._use = ModelUse(
            model, temperature, max_tokens, provider, api_key, base_url, middleware, owner=name
        )

    @classmethod
    def from_config(cls, name: str, entry: Mapping[str, object]) -> Self:
        """The agent of a YAML entry, whose tools are bound already."""
        settings = own_keys(cls.config_keys, entry, f"agent {name!r}")
        tools = cast("list[object]", entry.get("tools") or [])
        bound = [tool for tool in tools if isinstance(tool, Tool)]
        return cls(name, tools=bound, **model_options(entry), **cast("dict[str, str]", settings))  # type: ignore[arg-type]  # checked by their keys

    @property
    def model(self) -> str:
        """The model that answers."""
        return self._use.name

    @property
    def tools(self) -> tuple[Tool, ...]:
        """What the model may call."""
        return tuple(self._tools)

    def add_tool(self, given: Tool | Callable[..., object]) -> None:
        """Offer the model one tool more, from the next turn on; giving the same one again changes nothing.

        Raises:
            ConfigError: another one has its name, or it cannot be used.
        """
        made = as_tool(given)
        for found in self._tools:
            if found is made or (
                isinstance(found, FunctionTool)
                and isinstance(made, FunctionTool)
                and (found.name, found.function) == (made.name, made.function)
            ):
                return
        self._tools = Toolbox([*self._tools, made])

    def remove_tool(self, name: str) -> bool:
        """Offer a tool no longer, from the next turn on; False if there is none of that name."""
        if name not in self._tools:
            return False
        self._tools = Toolbox([tool for tool in self._tools if tool.name != name])
        return True

    def set_system_message(self, text: str) -> None:
        """Give the model other instructions, from the next turn on; the histories stay."""
        self.prompt = text

    async def start(self, caller: Caller) -> None:  # noqa: ARG002 - the contract's signature
        """Find the model's provider, so that a wrong model fails the start and not the first call."""
        self._use.open()

    # -- called by runtimes ---------------------------------------------------------------------------

    async def execute(self, message: Message) -> Message:
        """Answer `message`.

        Raises:
            ProviderError: the model did not answer, or not in the wanted shape.
            SessionBusy: with `remember`, the session has a call under way.
        """
        with self._remembered(message.text) as conversation:
            turn = self._turn(self._so_far(conversation, message), self._tools)
            with self._counted(turn):
                answer = await turn.answer()
            if conversation is not None:
                conversation.keep(answer.messages)
        return message.reply(answer.value, metadata=self.facts(answer))

    async def stream(self, message: Message) -> AsyncIterator[StreamChunk | Message]:
        """Answer `message` piece by piece; an answer of a wanted shape comes as one, once it is checked.

        What the model writes before it asks for tools is content too; the reply holds the answer only. Each
        round of tools is a chunk of the type "tool_call", which comes before they run.
        """
        reply: Message | None = None
        with self._remembered(message.text) as conversation:
            turn = self._turn(self._so_far(conversation, message), self._tools)
            async with aclosing(self._events(turn)) as events:
                async for event in events:
                    if isinstance(event, StreamChunk):
                        yield event
                        continue
                    reply = message.reply(event.value, metadata=self.facts(event))
                    if conversation is not None:
                        conversation.keep(event.messages)
        assert reply is not None
        yield reply

    def facts(self, answer: Answer) -> dict[str, JSONValue]:
        """The metadata of a reply."""
        return answer.facts()

    # -- called by programs ---------------------------------------------------------------------------

    async def chat(
        self,
        messages: Sequence[Mapping[str, object] | ChatMessage],
        tools: Sequence[Tool | Callable[..., object]] | None = None,
        *,
        session_id: str = "",
        reset_chat: bool = False,
        clear_history: bool = False,
    ) -> AsyncGenerator[StreamChunk, None]:
        """Go on with a session's conversation; never raises an exception.

        Chunks are of the types "status" (working), "content", "thinking", "tool_calls", and at the end one
        "done" with the usage of this chat, or one "error". Its status is "partial" when content had come, else
        "failed". The history changes only with "done": a chat that fails, or that is left, leaves none.

        Args:
            messages: what is new, such as `[{"role": "user", "content": "hello"}]`.
            tools: offered instead of the agent's own.
            session_id: another session than the agent's own; they know nothing of each other.
            reset_chat: the history becomes exactly `messages` before the model is asked.
            clear_history: the history is emptied first, which for the model is the same.
        """
        sequence = 0
        has_content = False
        async with aclosing(
            self._chat(messages, tools, session_id, reset_chat or clear_history)
        ) as found:
            async for chunk in found:
                if chunk.type == "error" and has_content:
                    chunk.status = "partial"
                has_content = has_content or chunk.type == "content"
                chunk.source, chunk.sequence, chunk.timestamp = self.name, sequence, time.time()
                sequence += 1
                yield chunk

    async def _chat(
        self,
        messages: Sequence[Mapping[str, object] | ChatMessage],
        tools: Sequence[Tool | Callable[..., object]] | None,
        session_id: str,
        afresh: bool,
    ) -> AsyncGenerator[StreamChunk, None]:
        usage = Usage()
        done: StreamChunk | None = None
        try:
            new = read_messages(messages)
            conversation = self._conversations.get(session_id or self.session_id)
            with conversation.under_way(self.name, new[-1].content if new else ""):
                yield StreamChunk(type="status", status="working")
                toolbox = self._tools if tools is None else Toolbox(tools)
                turn = self._turn([*([] if afresh else conversation.turns), *new], toolbox)
                usage = turn.usage
                async with aclosing(self._events(turn)) as events:
                    async for event in events:
                        if isinstance(event, Answer):
                            conversation.keep(event.messages)
                            cut = event.completion.stop_reason == "max_tokens"
                            status = "truncated" if cut else "completed"
                            done = StreamChunk(type="done", status=status, usage=usage)
                        elif event.type == "tool_call":
                            listed = msgspec.json.encode(event.tool_calls).decode()
                            yield replace(event, type="tool_calls", content=listed)
                        else:
                            yield event
            assert done is not None
            yield done
        except AixgoError as exc:
            yield StreamChunk(
                type="error", content=str(exc), status="failed", error=exc, usage=usage
            )
        except Exception as exc:
            error = AgentFailed(self.name, new_error_id())
            log.exception("chat of %r failed [error id %s]", self.name, error.error_id)
            error.__cause__ = exc
            yield StreamChunk(
                type="error", content=str(error), status="failed", error=error, usage=usage
            )

    def get_status(self, session_id: str = "") -> dict[str, JSONValue]:
        """What the agent is, does and has spent; `token_usage` counts all its calls since it was made."""
        conversation = self._conversations.get(session_id or self.session_id)
        model, provider = self._answered_by
        found = status_of(
            conversation, self._usage, model or self.model, provider or self._use.backend
        )
        return {"agent_id": self.name, **found, "tools_count": len(self._tools)}

    def get_session_info(self, session_id: str = "") -> dict[str, JSONValue]:
        """The session's id, length, and when it began, in Unix seconds."""
        found = self._conversations.get(session_id or self.session_id)
        return {
            "session_id": found.session_id,
            "conversation_length": len(found.turns),
            "created_at": found.created_at,
        }

    def get_conversation_history(self, session_id: str = "") -> list[dict[str, JSONValue]]:
        """A copy of the session's history."""
        return [
            as_dict(turn) for turn in self._conversations.get(session_id or self.session_id).turns
        ]

    def add_to_history(self, role: str, content: str, session_id: str = "") -> None:
        """Add a turn to the session's history without asking the model."""
        conversation = self._conversations.get(session_id or self.session_id)
        conversation.keep(
            [*conversation.turns, *read_messages([{"role": role, "content": content}])]
        )

    def clear_history(self, session_id: str = "") -> None:
        """Empty the session's history."""
        self._conversations.get(session_id or self.session_id).keep(())

    def reset(self, session_id: str = "") -> None:
        """Begin the session anew."""
        self._conversations.drop(session_id or self.session_id)

    # -- the turn -------------------------------------------------------------------------------------

    def _turn(self, messages: Sequence[ChatMessage], tools: Toolbox) -> Turn:
        if not messages:
            raise ConfigError("there are no messages to answer")
        asked = None if self._output is None else self._output.asked
        return Turn(
            self._use.open(),
            self._use.conversation(messages, self.instructions(tools), asked),
            tools,
            self._output,
            self._max_rounds,
            self._tries,
        )

    def instructions(self, tools: Toolbox) -> str:  # noqa: ARG002 - roles derive theirs from the tools
        """What the model is told to do."""
        return self.prompt

    async def _events(self, turn: Turn) -> AsyncGenerator[StreamChunk | Answer, None]:
        """The events of a turn as chunks, then its answer."""
        with self._counted(turn):
            async with aclosing(turn.events(streaming=True)) as events:
                async for event in events:
                    if isinstance(event, Answer):
                        if turn.holds_back:
                            yield StreamChunk(content=event.messages[-1].content)
                        yield event
                        continue
                    for chunk in chunks_of(event):
                        yield chunk

    @contextmanager
    def _counted(self, turn: Turn) -> Iterator[None]:
        """Count what `turn` spends, however it ends."""
        try:
            yield
        finally:
            self._usage.add(turn.usage)
            self._answered_by = turn.answered_by or self._answered_by

    @contextmanager
    def _remembered(self, task: str) -> Iterator[Conversation | None]:
        """The conversation of the session this call is part of, if the agent remembers."""
        context = CallContext.maybe_current()
        if not self._remember or context is None or not context.session:
            yield None
            return
        conversation = self._conversations.get(context.session)
        with conversation.under_way(self.name, task):
            yield conversation

    def _so_far(self, conversation: Conversation | None, message: Message) -> list[ChatMessage]:
        turns = [] if conversation is None else conversation.turns
        return [*turns, ChatMessage("user", message.text)]


AGENT = ChatAgent
