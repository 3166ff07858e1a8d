"""Answers of models, kept for a while and within bounds.

Used from one event loop. Below: providers. Above: cache, `_lead`.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import TypeAlias

import msgspec

from aixgo.context import Clock
from aixgo.providers import Completion, Provider

__all__ = ["Answer", "Answers", "Slot"]

ENTRY_BYTES = 1_024  # about what an entry takes besides its texts

Slot: TypeAlias = tuple[int, bytes]  # the provider's identity and a digest of the rest


@dataclass(slots=True, frozen=True)
class Answer:
    """An answer that can be given again. `provider` is kept so that its identity stays its own."""

    completion: Completion
    thinking: str
    provider: Provider
    size: int
    written: float


class Answers:
    """The newest answers that were used, each for `ttl` seconds from when it was written."""

    def __init__(self, *, ttl: float, max_entries: int, max_bytes: int, clock: Clock) -> None:
        self._ttl = ttl
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        self._clock = clock
        self._kept: OrderedDict[Slot, Answer] = OrderedDict()
        self.bytes = 0
        self.evictions = 0
        """Dropped for room."""
        self.expired = 0
        """Dropped for age."""

    def __len__(self) -> int:
        return len(self._kept)

    def find(self, slot: Slot) -> Answer | None:
        """The answer that stands there and still holds."""
        found = self._kept.get(slot)
        if found is None:
            return None
        if self._clock.monotonic() - found.written >= self._ttl:
            self._drop(slot)
            self.expired += 1
            return None
        self._kept.move_to_end(slot)
        return found

    def keep(self, slot: Slot, completion: Completion, thinking: str, provider: Provider) -> Answer:
        """Keep an answer, and drop what was used longest ago until there is room; one too large is only returned."""
        texts = msgspec.json.encode((completion.text, completion.thinking, thinking))
        answer = Answer(
            replace(completion, usage=replace(completion.usage)),  # its reader may add to it
            thinking,
            provider,
            len(texts) + ENTRY_BYTES,
            self._clock.monotonic(),
        )
        if answer.size > self._max_bytes:
            return answer
        self._drop(slot)
        self._kept[slot] = answer
        self.bytes += answer.size
        while len(self._kept) > self._max_entries or self.bytes > self._max_bytes:
            self._drop(next(iter(self._kept)))
            self.evictions += 1
        return answer

    def clear(self) -> None:
        """Forget all."""
        self._kept.clear()
        self.bytes = 0

    def _drop(self, slot: Slot) -> None:
        dropped = self._kept.pop(slot, None)
        if dropped is not None:
            self.bytes -= dropped.size
