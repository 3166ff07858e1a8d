"""A model that answers at once, asked directly, as agents ask it, or through every policy there is."""

import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import cast

from aixgo.ledger import Usage
from aixgo.providers import ChatMessage, Completion, CompletionRequest, Model, Provider, as_provider
from aixgo.resilience.base import Surroundings, build_policies
from tests.benchmarks.side import Call, Work, measure, works_of

POLICIES: Mapping[str, object] = {
    "fallback": {"models": ["offline"]},
    "retry": {},
    "breaker": {},
    "timeout": {"seconds": 60},
}
"""Around a model; each request gets through them to the model."""


class AtOnce:
    name = "bench"

    async def complete(self, request: CompletionRequest) -> Completion:
        usage = Usage(tokens_prompt=1, tokens_completion=1, calls=1)
        return Completion(text=request.text, model=request.model, provider=self.name, usage=usage)


@asynccontextmanager
async def asked() -> AsyncIterator[Mapping[str, Work]]:
    provider: Provider = as_provider(AtOnce())
    if sys.argv[1] == "metered":
        provider = Model(provider)
    elif sys.argv[1] == "policies":
        around = Surroundings(seam="model", where="resilience")
        provider = Model(provider, build_policies(POLICIES, around))

    def prepare(target: str, text: str) -> Call:
        request = CompletionRequest(model="m", messages=(ChatMessage("user", text),))
        return lambda: provider.complete(request)

    yield works_of(prepare, lambda reply: cast("Completion", reply).text)


if __name__ == "__main__":
    measure(asked)
