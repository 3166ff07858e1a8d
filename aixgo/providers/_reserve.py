"""Money before a model call: what it may come to at most is reserved, and settled when it has ended.

The upper estimate is the prompt, counted by the provider with a margin, and the longest answer the request allows,
at the model's price. A request that does not limit its answer is limited to what the budget can pay.

Below: purse, pricing. Above: `_model`.
"""

from __future__ import annotations

import math
from dataclasses import replace

from aixgo import pricing
from aixgo.context import CallContext
from aixgo.ledger import Usage
from aixgo.providers._schemas import cleaned
from aixgo.providers.base import CompletionRequest, Delta, Provider
from aixgo.purse import Purse

__all__ = ["Reserved", "most_tokens", "reserve"]

LONGEST_ANSWER = 32_768  # tokens, of a request and a provider that do not say
PROMPT_MARGIN = 1.25  # providers count about how many tokens a text is
MESSAGE_TOKENS = 8  # what a vendor adds for each message and tool
IMAGE_TOKENS = 2_000  # of a picture, about the most vendors charge
TAIL = 2.0  # tokens a model may have made when a stream is left, for each that came
TAIL_TOKENS = 64


class Reserved:
    """What is held for one model call. `request` is the one to send."""

    def __init__(
        self,
        request: CompletionRequest,
        provider: Provider,
        context: CallContext,
        purse: Purse,
        most: Usage,
    ) -> None:
        self.request = request
        self._provider = provider
        self._context = context
        self._purse = purse
        self._most = most
        self._noted: list[str] = []
        self._held = purse.hold((most.cost_nanos, most.tokens_total, most.calls))
        self._open = True

    @property
    def came(self) -> bool:
        """Whether any piece was noted."""
        return bool(self._noted)

    def note(self, piece: Delta) -> None:
        """Remember a piece that came, in case nobody says what all of them cost."""
        self._noted.append(piece.content + piece.thinking)

    def charge_all(self) -> None:
        """Take the whole for spent: the call ended and nobody knows how."""
        self._charge(self._most.tokens_completion)

    def charge_noted(self) -> None:
        """Take the prompt and what came, and some more, for spent."""
        came = self._provider.count_tokens("".join(self._noted))
        self._charge(min(self._most.tokens_completion, math.ceil(came * TAIL) + TAIL_TOKENS))

    def release(self) -> None:
        """Give back what is held. Twice is fine."""
        if self._open:
            self._open = False
            self._purse.release(self._held)

    def _charge(self, completion: int) -> None:
        usage = Usage(
            tokens_prompt=self._most.tokens_prompt,
            tokens_completion=completion,
            calls=1,
            unsettled=True,
        )
        cost = pricing.cost_of(usage, self.request.model, self._provider.name) or 0
        model, provider = self.request.model, self._provider.name
        self._context.charge(replace(usage, cost_nanos=cost), model, provider)


async def reserve(
    provider: Provider,
    request: CompletionRequest,
    context: CallContext,
    purse: Purse,
    *,
    streaming: bool,
) -> Reserved:
    """Hold what the model call of `request` may come to at most, waiting for what is out and may come back.

    Raises:
        BudgetExceeded: there is not enough; nothing was asked.
    """
    prompt = _prompt_tokens(provider, request)
    asked = request.max_tokens
    least = _usage(provider, request, prompt, 1 if asked is None else asked)
    await purse.reserve((least.cost_nanos, least.tokens_total, least.calls), context.where)
    if asked is not None:
        return Reserved(request, provider, context, purse, least)
    longest = _longest_answer(provider)
    room = _room(provider, request, prompt, longest, purse)
    if streaming and room < longest:  # whoever reads a stream goes on calling beside it
        room = max(1, room // 2)
    if room < longest:
        request = replace(request, max_tokens=room)
    return Reserved(request, provider, context, purse, _usage(provider, request, prompt, room))


def most_tokens(provider: Provider, request: CompletionRequest) -> tuple[int, int]:
    """About the most tokens a call can take: of the prompt, and of the answer."""
    answer = request.max_tokens
    if answer is None:
        answer = _longest_answer(provider)
    return _prompt_tokens(provider, request), answer


def _longest_answer(provider: Provider) -> int:
    return int(getattr(provider, "longest_answer", LONGEST_ANSWER))


def _room(
    provider: Provider, request: CompletionRequest, prompt: int, longest: int, purse: Purse
) -> int:
    """The longest answer, up to `longest` tokens and at least one, that what is free can pay."""
    nanos, tokens, _ = purse.free
    low, high = 1, longest
    if tokens is not None:
        high = max(1, min(high, tokens - prompt))
    if nanos is None or _usage(provider, request, prompt, high).cost_nanos <= nanos:
        return high
    while high - low > 1:  # prices may rise in steps, but never fall with the length
        middle = (low + high) // 2
        if _usage(provider, request, prompt, middle).cost_nanos <= nanos:
            low = middle
        else:
            high = middle
    return low


def _usage(provider: Provider, request: CompletionRequest, prompt: int, completion: int) -> Usage:
    usage = Usage(tokens_prompt=prompt, tokens_completion=completion, calls=1)
    cost = pricing.cost_of(usage, request.model, provider.name)
    return replace(usage, cost_nanos=cost or 0)


def _prompt_tokens(provider: Provider, request: CompletionRequest) -> int:
    """About the most tokens the prompt of `request` can be."""
    texts = [request.instructions, *(turn.content for turn in request.messages)]
    texts += [call.arguments for turn in request.messages for call in turn.tool_calls]
    texts += [f"{tool.name} {tool.description} {tool.parameters}" for tool in request.tools]
    if request.output_schema is not None:
        texts.append(str(cleaned(request.output_schema)))
    counted = provider.count_tokens("\n".join(text for text in texts if text))
    images = sum(len(turn.images) for turn in request.messages)
    parts = 1 + len(request.messages) + len(request.tools)
    return math.ceil(counted * PROMPT_MARGIN) + parts * MESSAGE_TOKENS + images * IMAGE_TOKENS
