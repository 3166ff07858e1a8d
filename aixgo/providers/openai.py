"""OpenAI's Chat Completions, and every vendor that speaks it, on OpenAI's SDK.

Below: `_chat` (what is said), `_sdk` (how it fails), `_vendors` (who speaks it). Above: `_selection`.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import cast

import openai

from aixgo.ledger import Usage
from aixgo.providers import _sdk as sdk
from aixgo.providers._chat import Draft, body_of, chat_usage
from aixgo.providers._vendors import VENDORS, Endpoint, Vendor, endpoint_of
from aixgo.providers.base import Completion, CompletionRequest, Delta

__all__ = [
    "EMBEDDINGS",
    "PROVIDER",
    "OpenAIEmbeddings",
    "OpenAIProvider",
    "open_client",
    "time_limit",
]


class OpenAIProvider:
    """The models of one vendor that speaks Chat Completions.

    Raises:
        ConfigError: there is no key and the vendor wants one.
    """

    def __init__(
        self, vendor: Vendor = VENDORS["openai"], *, base_url: str = "", api_key: str = ""
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
        body = body_of(request, self._vendor, stream=False)
        limit = time_limit()
        with sdk.Faults(self.name, request.model, self._endpoint):
            client = await open_client(self._vendor, self._endpoint)
            reply = await client.chat.completions.create(
                model=request.model, messages=[], extra_body=body, timeout=limit
            )
            if not getattr(reply, "choices", None):
                raise sdk.malformed(self.name, "an answer without a choice")
            draft = Draft(self._vendor, request.model)
            draft.add(reply.choices[0].message)
            draft.finish = reply.choices[0].finish_reason or "stop"
            usage = chat_usage(reply.usage, self._vendor) if reply.usage is not None else None
            return self._whole(request, draft, reply.model, usage)

    async def stream(self, request: CompletionRequest) -> AsyncIterator[Delta | Completion]:
        """The answer in pieces, then as a whole. Closing the iterator closes the connection."""
        body = body_of(request, self._vendor, stream=True)
        limit = time_limit()
        with sdk.Faults(self.name, request.model, self._endpoint) as faults:
            client = await open_client(self._vendor, self._endpoint)
            chunks = await client.chat.completions.create(
                model=request.model, messages=[], stream=True, extra_body=body, timeout=limit
            )
            draft = Draft(self._vendor, request.model)
            model, usage = "", None
            try:
                async for chunk in chunks:
                    model = chunk.model or model
                    if chunk.usage is not None:  # the last chunk, or one without choices after it
                        usage = faults.usage = chat_usage(chunk.usage, self._vendor)
                    for choice in (chunk.choices or ())[:1]:
                        text, thinking = draft.add(choice.delta)
                        draft.finish = choice.finish_reason or draft.finish
                        if text or thinking:
                            yield Delta(text, thinking)
            finally:
                await chunks.close()
            if not draft.finish:
                raise sdk.unfinished(self.name)
            for call in draft.calls():
                yield Delta(tool_call=call)
            yield self._whole(request, draft, model, usage)

    def _whole(
        self, request: CompletionRequest, draft: Draft, model: str, usage: Usage | None
    ) -> Completion:
        """The completion; a server that counts no tokens has them estimated."""
        found = draft.completion(model, usage or Usage(calls=1))
        if usage is None:
            asked = "\n".join([request.instructions, *(turn.content for turn in request.messages)])
            found.usage.tokens_prompt = self.count_tokens(asked)
            found.usage.tokens_completion = self.count_tokens(found.text)
        return found

    def count_tokens(self, text: str) -> int:
        """An estimate: one per four bytes."""
        return sdk.count_tokens(text)

    def models(self) -> Sequence[str]:
        """Empty: the vendor decides which names it knows."""
        return ()


class OpenAIEmbeddings:
    """The embeddings of one vendor that speaks OpenAI's API.

    Raises:
        ConfigError: there is no key and the vendor wants one.
    """

    def __init__(
        self,
        vendor: Vendor = VENDORS["openai"],
        *,
        base_url: str = "",
        api_key: str = "",
        dimensions: int = 0,
    ) -> None:
        self.name = vendor.name
        self._vendor = vendor
        self._endpoint = endpoint_of(vendor, base_url, api_key)
        self._dimensions = dimensions

    async def embed(self, model: str, texts: Sequence[str]) -> tuple[list[list[float]], Usage]:
        """A vector for each of `texts`, in their order, and what that used.

        Raises:
            ProviderError: the one that says whether trying again helps.
        """
        limit = time_limit()
        with sdk.Faults(self.name, model, self._endpoint):
            client = await open_client(self._vendor, self._endpoint)
            reply = await client.embeddings.create(
                model=model,
                input=list(texts),
                encoding_format="float",
                dimensions=self._dimensions or openai.omit,
                timeout=limit,
            )
            found = sorted(reply.data, key=lambda item: item.index)
            if [item.index for item in found] != list(range(len(texts))):
                raise sdk.malformed(self.name, "not one vector for each text")
            usage = getattr(
                reply, "usage", None
            )  # the SDK's types promise it, local servers leave it out
            told = getattr(usage, "prompt_tokens", None)
            tokens = told if isinstance(told, int) else sdk.count_tokens("".join(texts))
            return [item.embedding for item in found], Usage(tokens_prompt=tokens, calls=1)


def time_limit() -> openai.Timeout:
    """The SDK's limits within the current call's deadline.

    Raises:
        DeadlineExceeded: it passed.
    """
    left = sdk.seconds_left()
    return openai.Timeout(left, connect=min(left, 10.0))


async def open_client(vendor: Vendor, endpoint: Endpoint) -> openai.AsyncOpenAI:
    """The SDK's client of this loop for the vendor at that address."""
    of_openai = vendor.name.startswith("openai")

    def make() -> openai.AsyncOpenAI:
        client = openai.AsyncOpenAI(
            api_key=endpoint.key,
            base_url=endpoint.base_url,
            max_retries=0,
            default_headers={} if of_openai else _without_openais(endpoint.key),
        )
        if not of_openai:  # the environment's, which no one else should get
            client.organization = client.project = None
        return client

    return await sdk.shared_client(("openai", vendor.name, endpoint.base_url, endpoint.key), make)


def _without_openais(key: str) -> Mapping[str, str]:
    """Headers that keep those which the environment has sent to OpenAI from another vendor."""
    lines = os.environ.get(VENDORS["openai"].headers_variable, "").split("\n")
    names = [name.strip() for name, colon, _ in (line.partition(":") for line in lines) if colon]
    left_out = {n: cast("str", openai.Omit()) for n in names if n.lower() != "authorization"}
    return {**left_out, "Authorization": f"Bearer {key}"}


PROVIDER = OpenAIProvider
EMBEDDINGS = OpenAIEmbeddings
