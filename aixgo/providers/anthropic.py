"""Anthropic's Messages API on Anthropic's SDK.

Below: `_messages` (what is said), `_sdk` (how it fails), `_vendors`. Above: `_selection`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

import anthropic

from aixgo.providers import _sdk as sdk
from aixgo.providers._messages import Draft, body_of
from aixgo.providers._vendors import VENDORS, Endpoint, Vendor, endpoint_of
from aixgo.providers.base import Completion, CompletionRequest, Delta

__all__ = ["PROVIDER", "AnthropicProvider"]


# What the SDK's method asks for and the body overrides. It warns of old models by this name, with a
# DeprecationWarning, which would be raised under `python -W error`; a filter for it would be the whole process's.
IN_BODY = "in-body"


class AnthropicProvider:
    """Anthropic's models.

    Raises:
        ConfigError: there is no key.
    """

    def __init__(
        self, vendor: Vendor = VENDORS["anthropic"], *, base_url: str = "", api_key: str = ""
    ) -> None:
        self.name = vendor.name
        self._endpoint = endpoint_of(vendor, base_url, api_key)
        self.elsewhere = self._endpoint.elsewhere(vendor)
        """Where it is reached, if not at the vendor's own address."""

    async def complete(self, request: CompletionRequest) -> Completion:
        """The answer as a whole.

        Raises:
            ProviderError: the one that says whether trying again helps.
        """
        body = body_of(request, self.name)
        limit = _time_limit()
        with sdk.Faults(self.name, request.model, self._endpoint):
            client = await _open_client(self._endpoint)
            reply = await client.messages.create(
                model=IN_BODY, max_tokens=1, messages=[], extra_body=body, timeout=limit
            )
            if not isinstance(getattr(reply, "content", None), list):
                raise sdk.malformed(self.name, "an answer without content")
            draft = Draft(self.name)
            draft.begin(reply)
            for index, block in enumerate(reply.content):
                draft.open(index, block)
            draft.stop(reply.stop_reason)
            return draft.completion(request.model)

    async def stream(self, request: CompletionRequest) -> AsyncIterator[Delta | Completion]:
        """The answer in pieces, then as a whole. Closing the iterator closes the connection."""
        body = body_of(request, self.name)
        limit = _time_limit()
        with sdk.Faults(self.name, request.model, self._endpoint) as faults:
            client = await _open_client(self._endpoint)
            events = await client.messages.create(
                model=IN_BODY,
                max_tokens=1,
                messages=[],
                stream=True,
                extra_body=body,
                timeout=limit,
            )
            draft = Draft(self.name)
            try:
                async for event in events:
                    if event.type == "message_start":
                        draft.begin(event.message)
                    elif event.type == "content_block_start":
                        if piece := draft.open(event.index, event.content_block):
                            yield piece
                    elif event.type == "content_block_delta":
                        if piece := draft.add(event.index, event.delta):
                            yield piece
                    elif event.type == "content_block_stop":
                        if call := draft.call(event.index):
                            yield Delta(tool_call=call)
                    elif event.type == "message_delta":
                        draft.count(event.usage)
                        draft.stop(event.delta.stop_reason)
                    faults.usage = draft.usage
            finally:
                await events.close()
            if not draft.stopped:
                raise sdk.unfinished(self.name)
            yield draft.completion(request.model)

    def count_tokens(self, text: str) -> int:
        """An estimate: one per four bytes."""
        return sdk.count_tokens(text)

    def models(self) -> Sequence[str]:
        """Empty: the vendor decides which names it knows."""
        return ()


def _time_limit() -> anthropic.Timeout:
    left = sdk.seconds_left()
    return anthropic.Timeout(left, connect=min(left, 10.0))


async def _open_client(endpoint: Endpoint) -> anthropic.AsyncAnthropic:
    """The SDK's client of this loop for that address."""

    def make() -> anthropic.AsyncAnthropic:
        return anthropic.AsyncAnthropic(
            api_key=endpoint.key, base_url=endpoint.base_url, max_retries=0
        )

    return await sdk.shared_client(("anthropic", endpoint.base_url, endpoint.key), make)


PROVIDER = AnthropicProvider
