"""Policies for calls that fail: one class serves calls between agents and calls of models.

A policy's module is named after its kind, which is its key in YAML, and holds `POLICY`, the class.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aixgo.resilience.base import Call, Policy, Seam
    from aixgo.resilience.breaker import CircuitBreaker
    from aixgo.resilience.cache import ResponseCache
    from aixgo.resilience.fallback import Fallback
    from aixgo.resilience.limiter import Limiter
    from aixgo.resilience.retry import Retry
    from aixgo.resilience.timeout import Timeout

_HOMES = {
    "Call": "aixgo.resilience.base",
    "CircuitBreaker": "aixgo.resilience.breaker",
    "Fallback": "aixgo.resilience.fallback",
    "Limiter": "aixgo.resilience.limiter",
    "Policy": "aixgo.resilience.base",
    "ResponseCache": "aixgo.resilience.cache",
    "Retry": "aixgo.resilience.retry",
    "Seam": "aixgo.resilience.base",
    "Timeout": "aixgo.resilience.timeout",
}

__all__ = [
    "Call",
    "CircuitBreaker",
    "Fallback",
    "Limiter",
    "Policy",
    "ResponseCache",
    "Retry",
    "Seam",
    "Timeout",
]

if not TYPE_CHECKING:  # a type checker sees the imports above, and an error for a wrong name

    def __getattr__(name: str) -> object:
        home = _HOMES.get(name)
        if home is None:
            raise AttributeError(f"module 'aixgo.resilience' has no attribute {name!r}")
        value = getattr(import_module(home), name)
        globals()[name] = value
        return value
