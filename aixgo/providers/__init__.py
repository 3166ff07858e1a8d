"""Model providers: the contract in `base`, one module per provider, and the rule that picks a model."""

from __future__ import annotations

from aixgo.providers._selection import choose_model, resolve_model
from aixgo.providers._structured import complete_structured
from aixgo.providers.base import ChatMessage, Completion, CompletionRequest, Delta, Provider, charge

__all__ = [
    "ChatMessage",
    "Completion",
    "CompletionRequest",
    "Delta",
    "Provider",
    "charge",
    "choose_model",
    "complete_structured",
    "resolve_model",
]
