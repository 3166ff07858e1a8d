"""`model_services`: models under names of a file's own.

Below: config.read. Above: config.parse.
"""

from __future__ import annotations

from aixgo.config.model import ModelService
from aixgo.config.read import Block, block_of, text_of
from aixgo.message import JSONValue

__all__ = ["read_services"]


def _address(service: Block) -> str:
    """The URL a model service is reached at, or ""."""
    inner = service.get("config")
    found = text_of(service, "address")
    if not found and isinstance(inner, Block):
        found = text_of(inner, "address") or text_of(inner, "endpoint")
    return found if not found or "://" in found else f"http://{found}"


def _api_key(service: Block) -> str:
    """The key of a model service, or ""."""
    inner = service.get("config")
    found = text_of(service, "api_key")
    if not found and isinstance(inner, Block):
        found = text_of(inner, "api_key") or text_of(inner, "token")
    return found


def read_services(listed: list[JSONValue]) -> dict[str, ModelService]:
    """What each model service's name stands for."""
    found: dict[str, ModelService] = {}
    for item in listed:
        if isinstance(item, Block):
            provider = text_of(item, "provider") or text_of(item, "runtime")
            model = text_of(item, "model") or text_of(item, "name")
            name = f"{provider}:{model}" if provider else model
            address = _address(item)
            found[text_of(item, "name")] = ModelService(
                model=f"{name}@{address}" if address else name,
                api_key=_api_key(item),
                resilience=block_of(item, "resilience"),
            )
    return found
