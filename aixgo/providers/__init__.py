"""Model providers: the contract in `base`, one module per provider, and the rule that picks a model."""

from __future__ import annotations

from aixgo.providers._custom import Completer, as_provider
from aixgo.providers._embedding import resolve_embedder
from aixgo.providers._model import (
    CompletionStream,
    Model,
    ModelCall,
    ModelMiddleware,
    ModelReply,
)
from aixgo.providers._reserve import most_tokens
from aixgo.providers._selection import (
    choose_model,
    other_providers,
    resolve_model,
    same_vendor,
    without_password,
    written_address,
)
from aixgo.providers._vendors import VENDORS, Vendor
from aixgo.providers.base import (
    ChatMessage,
    Completion,
    CompletionRequest,
    Delta,
    Embedder,
    Image,
    Provider,
    ToolCall,
    ToolSpec,
)

__all__ = [
    "VENDORS",
    "ChatMessage",
    "Completer",
    "Completion",
    "CompletionRequest",
    "CompletionStream",
    "Delta",
    "Embedder",
    "Image",
    "Model",
    "ModelCall",
    "ModelMiddleware",
    "ModelReply",
    "Provider",
    "ToolCall",
    "ToolSpec",
    "Vendor",
    "as_provider",
    "choose_model",
    "most_tokens",
    "other_providers",
    "resolve_embedder",
    "resolve_model",
    "same_vendor",
    "without_password",
    "written_address",
]
