"""Names of models as other tools write them, and how they are written here; for errors.

Such a name is never taken for one of ours: who serves `meta-llama/…`, and at whose cost, is for whoever wrote it
to say.

Below: `_vendors`. Above: `_selection`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from aixgo.providers._vendors import VENDORS

__all__ = ["rewritten"]

SAME: Mapping[str, str] = {
    "claude": "anthropic",
    "google": "gemini",
    "googleai": "gemini",
    "grok": "xai",
    "hf": "huggingface",
    "kimi": "moonshot",
    "mistralai": "mistral",
    "moonshotai": "moonshot",
    "vertex": "gemini",
    "vertex_ai": "gemini",
    "vertexai": "gemini",
    "x-ai": "xai",
}
"""What a vendor is called elsewhere."""
MARKETS = ("huggingface", "openrouter")
"""The vendors that serve the models of others, under `organisation/model`."""
BEDROCK = re.compile(
    r"(?:bedrock[/:])?(?:[a-z]{2,6}\.)?"
    r"(ai21|amazon|anthropic|cohere|deepseek|meta|mistral|openai|qwen)\.(.+?)(?:-v\d+)?(?::\d+)?"
)
"""A model as AWS Bedrock names it."""


def rewritten(model: str) -> list[str]:
    """How `model` may be meant, written so that it tells its provider; empty if that is anybody's guess."""
    if found := BEDROCK.fullmatch(model):
        maker, name = found.groups()
        makers = [f"{maker}:{name}"] if maker in VENDORS else []
        return [*makers, f"openrouter:{maker}/{name}"]
    vendor, colon, name = model.partition(":")
    if colon and "/" not in vendor:
        if vendor == "ft":  # a model of one's own, which is its whole name
            return [f"openai:{model}"]
        return [f"{SAME[vendor]}:{name}"] if vendor in SAME else []
    head, _, rest = model.partition("/")
    if not (head and rest) or head == "bedrock":
        return []
    own = head if head in VENDORS else SAME.get(head, "")
    served = [] if own in MARKETS else [f"{market}:{model}" for market in MARKETS]
    return [f"{own}:{rest}", *served] if own else served
