"""A provider that answers with nothing, as a custom one may."""

from __future__ import annotations

from typing import cast

import pytest

from aixgo.errors import ProviderUnavailable
from aixgo.providers import ChatMessage, Completion, CompletionRequest, Model
from aixgo.testing import ScriptedProvider


class Silent(ScriptedProvider):
    """Forgets to return what it made."""

    async def complete(self, request: CompletionRequest) -> Completion:
        return cast("Completion", None)


async def test_a_provider_that_returns_nothing_is_an_error_that_names_it() -> None:
    request = CompletionRequest(model="m", messages=[ChatMessage("user", "hello")])
    with pytest.raises(ProviderUnavailable, match="'scripted' gave no completion") as caught:
        await Model(Silent([])).complete(request)
    assert caught.value.code == "no_answer"
