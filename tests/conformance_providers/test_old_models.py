"""Models that their vendor has announced to end are asked like any other, also where warnings are errors."""

from __future__ import annotations

import warnings

import pytest
from anthropic.resources.messages.messages import DEPRECATED_MODELS

from aixgo.providers import ChatMessage, Completion, CompletionRequest
from tests.conformance_providers.dialects import Messages
from tests.conformance_providers.wire import WireServer, as_events, as_json

pytestmark = pytest.mark.asyncio(loop_scope="module")

MESSAGES = Messages()


@pytest.mark.parametrize("streamed", [False, True], ids=["complete", "stream"])
async def test_a_model_about_to_end_is_asked_by_its_name_without_a_warning(
    wire: WireServer, streamed: bool
) -> None:
    model = next(reversed(DEPRECATED_MODELS))
    request = CompletionRequest(model=model, messages=(ChatMessage("user", "hi"),))
    provider = MESSAGES.provider(wire.url)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        if streamed:
            wire.answers = [as_events(*MESSAGES.pieces("yes"), *MESSAGES.end())]
            *_, found = [piece async for piece in provider.stream(request)]
        else:
            wire.answers = [as_json(MESSAGES.whole("yes"))]
            found = await provider.complete(request)
    assert isinstance(found, Completion)
    assert found.text == "yes"
    assert wire.asked[0].body["model"] == model
