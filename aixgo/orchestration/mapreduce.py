"""MapReduce: a message is split, a mapper answers each chunk, and the answers become one, in the order of the chunks.

The built-in splits take text, but `items` a JSON list; `size` counts chunks' units:

- lines: lines that are not blank
- paragraphs: what stands between blank lines
- words: words, put together again with a blank between
- characters: pieces of so many characters
- items: the entries of a list; one entry to a chunk is given alone, several as a list

A `splitter` agent gives a list instead. The built-in reductions are `list` (the payloads), `concat` (the texts, a line
apart), `sum` (numbers, or objects of numbers, key by key); a `reducer` agent gets the list and answers in their place.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import ClassVar, Literal, Self, TypeAlias, cast, get_args

from aixgo.context import CallContext
from aixgo.contract import Caller
from aixgo.errors import AgentRefused, AixgoError, ConfigError, MessageTooLarge
from aixgo.keys import Key, check_given
from aixgo.message import MAX_MESSAGE_BYTES, JSONValue, Message
from aixgo.orchestration._caller import all_or_first_failure
from aixgo.orchestration._partial import described
from aixgo.orchestration._payloads import json_payload, stated_in
from aixgo.orchestration.base import (
    END,
    START,
    Edge,
    ErrorStrategy,
    Fact,
    Limits,
    OnFailure,
    Orchestrator,
    Place,
    Slot,
    Step,
    check_alone,
    ends_run,
    slot_name,
)
from aixgo.purse import Share

__all__ = ["PATTERN", "MapReduce", "Reduce", "Split"]

Split: TypeAlias = Literal["lines", "paragraphs", "words", "characters", "items"]
Reduce: TypeAlias = Literal["list", "concat", "sum"]
OnError: TypeAlias = Literal["raise", "drop", "keep"]

MAX_PARALLEL = 10
MAX_CHUNKS = 10_000
SIZES: Mapping[str, int] = {
    "lines": 1,
    "paragraphs": 1,
    "words": 200,
    "characters": 2000,
    "items": 1,
}
"""Units in a chunk, if nobody says."""


class MapReduce(Orchestrator):
    """The same work on every part of a message, at most `max_parallel` parts at once.

    Of several mappers each takes the next chunk in turn, by its number. A mapper gets its chunk with metadata `chunk`
    and `chunk_count`. A chunk that fails fails the run and stops the others (`on_error="raise"`), is left out
    ("drop"), or leaves None in its place ("keep"; not for `sum`); the last two need one chunk that succeeds. A limit, a
    budget and the run's deadline end the run in any case. An `error_strategy` takes the place of `on_error`;
    "continue" drops. More than `max_chunks` chunks are refused.
    """

    pattern = "mapreduce"
    config_keys: ClassVar[Mapping[str, Key]] = {
        "mapper": Key("slot", "the agent that answers each chunk; else `agents`, in turn"),
        "splitter": Key("slot", "the agent that gives the list of chunks"),
        "split": Key("text", "how the message is split", choices=get_args(Split), default="lines"),
        "size": Key("integer", "lines, words, … of a chunk; by the kind of split", minimum=1),
        "reducer": Key("slot", "the agent that makes one answer of the list of answers"),
        "reduce": Key(
            "text", "how the answers become one", choices=get_args(Reduce), default="list"
        ),
        "max_parallel": Key(
            "integer", "chunks that are at work at once", minimum=1, default=MAX_PARALLEL
        ),
        "max_chunks": Key(
            "integer", "chunks at most; more are refused", minimum=1, default=MAX_CHUNKS
        ),
        "on_error": Key(
            "text", "what a failed chunk does", choices=get_args(OnError), default="raise"
        ),
    }
    facts: ClassVar[Mapping[str, Fact]] = {
        "chunk_count": Fact("chunks the message was split into"),
        "success_count": Fact("those that were answered"),
        "errors": Fact("number of a chunk that is missing → class and text"),
    }

    def __init__(
        self,
        name: str,
        mappers: Slot | Sequence[Slot],
        *,
        split: Split | None = None,
        size: int | None = None,
        splitter: Slot | None = None,
        reduce: Reduce | None = None,
        reducer: Slot | None = None,
        max_parallel: int = MAX_PARALLEL,
        max_chunks: int = MAX_CHUNKS,
        on_error: OnError | None = None,
        timeout: float | None = None,
        description: str = "",
        limits: Limits | None = None,
        error_strategy: ErrorStrategy | OnFailure | None = None,
    ) -> None:
        where = f"mapreduce {name!r}"
        listed = (
            list(mappers)
            if isinstance(mappers, Sequence) and not isinstance(mappers, str)
            else [mappers]
        )
        if not listed:
            raise ConfigError(f"{where} needs a mapper")
        if error_strategy is not None and on_error is not None:
            check_alone(where, ["on_error"])
        _check_one(where, split=split, splitter=splitter, reduce=reduce, reducer=reducer)
        if splitter is not None and size is not None:
            raise ConfigError(
                f"{where}: size is {size}, and the splitter decides on sizes; drop one"
            )
        check_given(
            self.config_keys,
            where,
            split=split,
            size=size,
            reduce=reduce,
            on_error=on_error,
            max_parallel=max_parallel,
            max_chunks=max_chunks,
        )
        members = [slot for slot in (splitter, *listed, reducer) if slot is not None]
        super().__init__(
            name,
            members,
            description=description,
            limits=limits,
            timeout=timeout,
            error_strategy=error_strategy,
        )
        self._mappers = [slot_name(slot, where) for slot in listed]
        self._splitter = "" if splitter is None else slot_name(splitter, where)
        self._reducer = "" if reducer is None else slot_name(reducer, where)
        self.split: Split = split or "lines"
        self.size = SIZES[self.split] if size is None else size
        self.reduce: Reduce = reduce or "list"
        self.max_parallel = max_parallel
        self.max_chunks = max_chunks
        if self.error_strategy is not None and self.error_strategy.goes_on:
            on_error = "drop"
        self.on_error: OnError = on_error or "raise"
        if self.on_error == "keep" and self.reduce == "sum":
            raise ConfigError(
                f"{where}: a sum has no place for a failed chunk; on_error: drop leaves it out"
            )

    @classmethod
    def from_config(
        cls, name: str, agents: Sequence[Slot], config: Mapping[str, object], limits: Limits
    ) -> Self:
        """The pattern as YAML states it: the mapper is `mapper`, or those of `agents` that have no other part."""
        where = f"mapreduce {name!r}"
        settings = cls.settings(config, where)
        mapper = cast("Slot | None", settings.pop("mapper", None))
        apart = {
            slot_name(cast("Slot", slot), where)
            for slot in (settings.get("splitter"), settings.get("reducer"))
            if slot is not None
        }
        mappers = [slot for slot in agents if slot_name(slot, where) not in apart]
        chosen = mappers if mapper is None else mapper
        return cls(name, chosen, limits=limits, **cast("dict[str, int]", settings))  # type: ignore[arg-type]  # checked by their keys

    def edges(self) -> Iterable[Edge]:
        """Split, work, reduce."""
        split: Place = self._splitter or Step(f"split by {self.split}")
        reduced: Place = self._reducer or Step(f"reduce, {self.reduce}")
        yield Edge(START, split)
        for mapper in self._mappers:
            yield Edge(split, mapper, "each chunk")
            yield Edge(mapper, reduced)
        yield Edge(reduced, END)

    async def run(self, message: Message, caller: Caller) -> Message:
        """Split, map, reduce."""
        chunks = await self._chunks(message, caller)
        found = await self._mapped(chunks, message, caller)
        replies = [reply for reply in found if isinstance(reply, Message)]
        errors = {str(i): described(r) for i, r in enumerate(found) if isinstance(r, AixgoError)}
        if chunks and not replies:
            first = next(reply for reply in found if isinstance(reply, AixgoError))
            raise AgentRefused(
                f"all {len(chunks)} chunks of {self.name!r} failed, chunk 0 with {type(first).__name__}"
            ) from first
        return self.result(
            await self._reduced(found, replies, caller),
            chunk_count=len(chunks),
            success_count=len(replies),
            errors={**errors} or None,
        )

    async def _chunks(self, message: Message, caller: Caller) -> list[JSONValue]:
        if self._splitter:
            reply = await caller.call(self._splitter, message)
            chunks = stated_in(reply)
            if not isinstance(chunks, list):
                raise AgentRefused(
                    f"the splitter {self._splitter!r} of {self.name!r} gave {type(chunks).__name__}, not a list"
                )
        else:
            chunks = self._split(message)
        if len(chunks) > self.max_chunks:
            raise AgentRefused(
                f"{self.name!r} takes at most {self.max_chunks} chunks, and there are {len(chunks)}; "
                "make them larger, or max_chunks"
            )
        return chunks

    def _split(self, message: Message) -> list[JSONValue]:
        payload = message.payload
        if self.split == "items":
            if not isinstance(payload, list):
                raise AgentRefused(
                    f"{self.name!r} splits a list into its items, and got {type(payload).__name__}"
                )
            if self.size == 1:
                return payload
            return [payload[i : i + self.size] for i in range(0, len(payload), self.size)]
        if not isinstance(payload, str) and not message.content_type.startswith("text/"):
            raise AgentRefused(
                f"{self.name!r} splits text into {self.split}, and got {type(payload).__name__}; "
                "split: items takes a list"
            )
        text = message.text
        if self.split == "characters":
            return [text[i : i + self.size] for i in range(0, len(text), self.size)]
        units, glue = UNITS[self.split](text)
        return [glue.join(units[i : i + self.size]) for i in range(0, len(units), self.size)]

    async def _mapped(
        self, chunks: Sequence[JSONValue], message: Message, caller: Caller
    ) -> list[Message | AixgoError]:
        """What came of each chunk. Only so many tasks as may be at work take one after the other."""
        context = CallContext.current()
        keys = [context.child_key(f"chunk[{i}]") for i in range(len(chunks))]
        found: list[Message | AixgoError] = [AixgoError("not asked")] * len(chunks)
        metadata = {**message.metadata, "chunk_count": len(chunks)}
        shares = context.shares(len(chunks), after=bool(self._reducer))
        todo = enumerate(zip(chunks, keys, shares, strict=True))
        together = bool(self._reducer) or self.reduce != "sum"  # all answers go into one message
        size = 0
        failed = False

        async def work() -> None:
            nonlocal size, failed
            try:
                for i, (chunk, key, share) in todo:
                    if (
                        failed
                    ):  # whoever was at work has been cancelled, and may have answered all the same
                        return
                    target = self._mappers[i % len(self._mappers)]
                    part = Message(chunk, type="chunk", metadata={**metadata, "chunk": i})
                    reply = found[i] = await self._asked(target, part, caller, key, share)
                    if together and isinstance(reply, Message):
                        size += len(reply.encoded)
                        if size > MAX_MESSAGE_BYTES:  # nothing is kept that could not be given
                            raise MessageTooLarge(size, MAX_MESSAGE_BYTES)
            except AixgoError:
                failed = True
                raise

        await all_or_first_failure([work] * min(self.max_parallel, len(chunks)))
        return found

    async def _asked(
        self, target: str, part: Message, caller: Caller, key: str, share: Share
    ) -> Message | AixgoError:
        try:
            return await caller.call(target, part, key=key, share=share)
        except AixgoError as exc:
            if self.on_error == "raise" or ends_run(exc, CallContext.current()):
                raise
            return exc

    async def _reduced(
        self, found: Sequence[Message | AixgoError], replies: Sequence[Message], caller: Caller
    ) -> Message:
        kept = found if self.on_error == "keep" else replies
        if self._reducer or self.reduce == "list":
            whole = [json_payload(r) if isinstance(r, Message) else None for r in kept]
            listed = Message(whole, type="reduced")
            return await caller.call(self._reducer, listed) if self._reducer else listed
        if self.reduce == "concat":
            return Message("\n".join(reply.text for reply in replies), type="reduced")
        return Message(self._summed(replies), type="reduced")

    def _summed(self, replies: Sequence[Message]) -> JSONValue:
        total: JSONValue = 0
        for reply in replies:
            total = self._add(total, reply.payload)
        return total

    def _add(self, total: JSONValue, more: JSONValue | bytes) -> JSONValue:
        if _is_number(total) and _is_number(more):
            with suppress(OverflowError):
                found = cast("float", total) + cast("float", more)
                if isinstance(found, int) or math.isfinite(found):
                    return found
            raise AgentRefused(f"{self.name!r} cannot sum its numbers: they are too large")
        if isinstance(more, dict) and (isinstance(total, dict) or total == 0):
            known = total if isinstance(total, dict) else {}
            return known | {key: self._add(known.get(key, 0), value) for key, value in more.items()}
        shown = "an object" if isinstance(more, dict) else repr(more)[:40]
        raise AgentRefused(
            f"{self.name!r} sums numbers, or objects of numbers, and a mapper gave {shown}"
        )


def _lines(text: str) -> tuple[list[str], str]:
    return [line for line in text.splitlines() if line.strip()], "\n"


def _paragraphs(text: str) -> tuple[list[str], str]:
    parts = re.split(r"\n[ \t]*(?:\n[ \t]*)+", text.replace("\r\n", "\n"))
    return [part.strip("\n") for part in parts if part.strip()], "\n\n"


def _words(text: str) -> tuple[list[str], str]:
    return text.split(), " "


UNITS: Mapping[str, Callable[[str], tuple[list[str], str]]] = {
    "lines": _lines,
    "paragraphs": _paragraphs,
    "words": _words,
}
"""The units of a text, and what puts those of a chunk together."""


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _check_one(where: str, **given: object) -> None:
    for one, other in (("split", "splitter"), ("reduce", "reducer")):
        if given[one] is not None and given[other] is not None:
            raise ConfigError(f"{where}: {one} and {other} are both given; one of them decides")


PATTERN = MapReduce
