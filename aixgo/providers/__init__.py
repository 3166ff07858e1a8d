"""Model providers: the contract in `base`, one module per provider, and the rule that picks a model."""

from __future__ import annotations

from aixgo.providers._model import (
    CompletionStream,
    Model,
    ModelCall,
    ModelMiddleware,
    ModelReply,
)
from aixgo.providers._selection import choose_model, resolve_model
from aixgo.providers._structured import complete_structured
from aixgo.providers.base import (
    ChatMessage,
    Completion,
    CompletionRequest,
    Delta,
    Image,
    Provider,
    ToolCall,
    ToolSpec,
)

__all__ = [
    "ChatMessage",
    "Completion",
    "CompletionRequest",
    "CompletionStream",
    "Delta",
    "Image",
    "Model",
    "ModelCall",
    "ModelMiddleware",
    "ModelReply",
    "Provider",
    "ToolCall",
    "ToolSpec",
    "choose_model",
    "complete_structured",
    "resolve_model",
]
