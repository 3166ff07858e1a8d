"""OpenAI's Responses API on OpenAI's SDK: `openai_responses:MODEL`.

Nothing is stored at the vendor: the whole conversation is sent each time, with the model's encrypted reasoning
as it came. The API has no stop texts and no seed; they are left out.

Below: `_responses` (what is said), `_sdk`, `openai` (the client). Above: `_selection`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from aixgo.providers import _sdk as sdk
from aixgo.providers._responses import body_of, completion_of, delta_of, failure_of
from aixgo.providers._vendors import VENDORS, Vendor, endpoint_of
from aixgo.providers.base import Completion, CompletionRequest, Delta
from aixgo.providers.openai import open_client, time_limit

__all__ = ["PROVIDER", "OpenAIResponsesProvider"]


class OpenAIResponsesProvider:
    """OpenAI's models through the Responses API.

    Raises:
        ConfigError: there is no key.
    """

    def __init__(
        self,
        vendor: Vendor = VENDORS["openai_responses"],
        *,
        base_url: str = "",
        api_key: str = "",
    ) -> None:
        self.name = vendor.name
        self._vendor = vendor
        self._endpoint = endpoint_of(vendor, base_url, api_key)
        self.elsewhere = self._endpoint.elsewhere(vendor)
        """Where it is reached, if not at the vendor's own address."""

    async def complete(self, request: CompletionRequest) -> Completion:
        """The answer as a whole.

        Raises:
            ProviderError: the one that says whether trying again helps.
        """
        body = body_of(request, self.name)
        limit = time_limit()
        with sdk.Faults(self.name, request.model, self._endpoint):
            client = await open_client(self._vendor, self._endpoint)
            reply = await client.responses.create(
                model=request.model, input=[], extra_body=body, timeout=limit
            )
            return completion_of(reply, self.name, request.model)

    async def stream(self, request: CompletionRequest) -> AsyncIterator[Delta | Completion]:
        """The answer in pieces, then as a whole. Closing the iterator closes the connection."""
        body = body_of(request, self.name)
        limit = time_limit()
        with sdk.Faults(self.name, request.model, self._endpoint):
            client = await open_client(self._vendor, self._endpoint)
            events = await client.responses.create(
                model=request.model, input=[], stream=True, extra_body=body, timeout=limit
            )
            whole: Completion | None = None
            try:
                async for event in events:
                    if event.type in ("response.completed", "response.incomplete"):
                        whole = completion_of(event.response, self.name, request.model)
                    elif event.type == "response.failed":
                        raise failure_of(event.response, self.name, request.model)
                    elif event.type == "error":
                        raise failure_of(event, self.name, request.model)
                    elif piece := delta_of(event):
                        yield piece
            finally:
                await events.close()
            if whole is None:
                raise sdk.unfinished(self.name)
            yield whole

    def count_tokens(self, text: str) -> int:
        """An estimate: one per four bytes."""
        return sdk.count_tokens(text)

    def models(self) -> Sequence[str]:
        """Empty: the vendor decides which names it knows."""
        return ()


PROVIDER = OpenAIResponsesProvider
