"""The offline provider: real answers read off the text by rule, without a model or a network.

It looks at the shape of a request only: with a schema it fills that schema from the text, or answers with
its `x-offline`, without one it answers with the text's most telling sentences, of JSON with those of the texts
in it. It never reads the instructions. The same request always gets the same answer, which is marked `offline`.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence

import msgspec

from aixgo.ledger import Usage
from aixgo.message import NOT_JSON, JSONValue
from aixgo.providers import _text as reading
from aixgo.providers._shape import Filler
from aixgo.providers.base import Completion, CompletionRequest, Delta, StopReason

__all__ = ["PROVIDER", "OfflineProvider"]

MAX_TEXT = 200_000  # characters it reads: it works on the loop's thread, and this takes well under a second
SUMMARY_TOKENS = 90  # of an answer nobody limited
SUMMARY_SHARE = 0.4  # of the text's tokens an unlimited answer takes at most
ASKED = (
    "instructions",
    "correction",
    "question",
)  # keys of patterns' messages that hold no part of an answer
FRAGMENT_TOKENS = 5  # a "sentence" below this is a label or an exclamation and summarises nothing


class OfflineProvider:
    """Answers by extraction. Tokens are counted as words and signs; they cost nothing."""

    name = "offline"
    longest_answer = 4_096  # tokens a budget keeps free for an answer nobody limited

    async def complete(self, request: CompletionRequest) -> Completion:
        """The answer as a whole.

        Raises:
            RequestRejected: the schema cannot be filled.
        """
        text = request.text[:MAX_TEXT]
        if request.output_schema is None:
            answer, reason = _summary(_prose(text), request.max_tokens)
        else:
            answer, reason = _filled(text, request.output_schema), "end"
        usage = Usage(
            tokens_prompt=self.count_tokens(request.instructions)
            + sum(self.count_tokens(turn.content) for turn in request.messages),
            tokens_completion=self.count_tokens(answer),
            calls=1,
        )
        return Completion(
            text=answer,
            model=request.model,
            provider=self.name,
            usage=usage,
            stop_reason=reason,
            offline=True,
        )

    async def stream(self, request: CompletionRequest) -> AsyncIterator[Delta | Completion]:
        """The answer word by word, then as a whole."""
        completion = await self.complete(request)
        for piece in re.findall(r"\s*\S+", completion.text):
            yield Delta(piece)
            await asyncio.sleep(0)  # between two words others get their turn
        yield completion

    def count_tokens(self, text: str) -> int:
        """The words and signs of `text`."""
        return len(reading.tokens(text))

    def models(self) -> Sequence[str]:
        """The one there is."""
        return ("offline",)


def _prose(text: str) -> str:
    """What stands in `text`, if that is a JSON object or list, else the text."""
    if text.lstrip()[:1] not in ("{", "["):
        return text
    try:
        found = list(_texts(msgspec.json.decode(text)))
    except NOT_JSON:
        return text
    return "\n\n".join(found) or text


def _texts(value: JSONValue) -> Iterator[str]:
    """The texts in a value that have as many words as a sentence, in their order."""
    if isinstance(value, str) and len(value.split()) >= FRAGMENT_TOKENS:
        yield value
    elif isinstance(value, dict):
        for key, inner in value.items():
            if key not in ASKED:
                yield from _texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)


def _filled(text: str, schema: Mapping[str, JSONValue]) -> str:
    return msgspec.json.encode(Filler(text, schema).fill()).decode()


def _summary(text: str, max_tokens: int | None) -> tuple[str, StopReason]:
    """The most telling sentences that fit, in the text's order; the best one cut if it does not."""
    parts = reading.sentences(text)
    if not parts:
        return _cut(" ".join(text.split()), max_tokens)
    sizes = [len(reading.tokens(part)) for part in parts]
    room = (
        min(SUMMARY_TOKENS, max(int(sum(sizes) * SUMMARY_SHARE), 1))
        if max_tokens is None
        else max_tokens
    )
    ranked = reading.rank_sentences(text)
    ranked = [i for i in ranked if sizes[i] >= FRAGMENT_TOKENS] or ranked
    if sizes[ranked[0]] > room:
        return _cut(parts[ranked[0]], max_tokens)
    chosen: list[int] = []
    for index in ranked:
        if sizes[index] <= room:
            chosen.append(index)
            room -= sizes[index]
    return " ".join(parts[index] for index in sorted(chosen)), "end"


def _cut(sentence: str, max_tokens: int | None) -> tuple[str, StopReason]:
    if max_tokens is None or len(reading.tokens(sentence)) <= max_tokens:
        return sentence, "end"
    last = list(reading.TOKEN.finditer(sentence))[max_tokens - 1] if max_tokens > 0 else None
    return sentence[: last.end()] if last else "", "max_tokens"


PROVIDER = OfflineProvider
