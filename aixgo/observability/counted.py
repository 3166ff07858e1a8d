"""What runtimes count, as instruments: each shows keys of `rt.metrics()`, and holds no number of its own.

Runtimes that ended keep their part of what counts up, so that nothing exported ever goes down.

Below: instruments, measures. Above: metrics, which shows it over OpenTelemetry.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from typing import Final

from aixgo.measures import Labels, runtimes
from aixgo.observability import conventions as names
from aixgo.observability.instruments import ERROR, OUTCOME, Instrument

__all__ = ["COUNTED", "DERIVED", "Readings", "read"]

DIRECTION: Final = "aixgo.wire.direction"
TOGETHER = 1.0  # seconds within which a collection reads all instruments, the first one first

DERIVED: Final = ("call_seconds_mean", "spent.tokens_total")
"""Keys of `rt.metrics()` that follow from others, and are not shown."""


class Readings:
    """What all runtimes of the process say, asked once for all instruments that are read together."""

    def __init__(self) -> None:
        self._running: list[Mapping[str, object]] = []
        self._ended: Mapping[str, object] = {}
        self._taken = -math.inf

    def of(self, instrument: Instrument) -> dict[Labels, float]:
        """What `instrument` shows. The first one, or one that comes late, asks anew."""
        now = time.monotonic()
        if instrument is COUNTED[0] or now - self._taken > TOGETHER:
            self._running, self._ended = runtimes.now(), runtimes.ended()
            self._taken = now
        found: dict[Labels, float] = {}
        for metrics in self._running:
            _add(found, instrument, metrics)
        if instrument.kind == "counter":
            _add(found, instrument, self._ended)
        return found


def _add(found: dict[Labels, float], instrument: Instrument, metrics: Mapping[str, object]) -> None:
    for labels, value in read(instrument, metrics):
        found[labels] = found.get(labels, 0) + value


def read(
    instrument: Instrument, metrics: Mapping[str, object]
) -> Iterator[tuple[Labels, int | float]]:
    """What `instrument` shows of one runtime's `metrics`."""
    for path, labels in instrument.keys.items():
        value: object = metrics
        *places, last = path.split(".")
        for place in places:
            value = value.get(place) if isinstance(value, Mapping) else None
        if not isinstance(value, Mapping):
            continue
        for name in value if last == "*" else (last,):
            number = value.get(name)
            if isinstance(number, int | float):
                yield ((str(name),) if last == "*" else labels), number


COUNTED: Final = (
    Instrument(
        "aixgo.runtime.agents",
        "updowncounter",
        "{agent}",
        "Names that can be called.",
        keys={"agents": ()},
    ),
    Instrument(
        "aixgo.runtime.calls",
        "counter",
        "{call}",
        "Calls that ended, made here or come from elsewhere.",
        (OUTCOME,),
        keys={"calls_succeeded": ("succeeded",), "calls_failed": ("failed",)},
    ),
    Instrument(
        "aixgo.runtime.errors",
        "counter",
        "{call}",
        "Calls that failed, by the error's class, `cancelled`, or `left` for streams.",
        (ERROR,),
        keys={"errors.*": ()},
    ),
    Instrument(
        "aixgo.runtime.call_time",
        "counter",
        "s",
        "How long the calls took that ended.",
        keys={"call_seconds": ()},
    ),
    Instrument(
        "aixgo.runtime.calls_in_flight",
        "updowncounter",
        "{call}",
        "Calls going on.",
        keys={"calls_in_flight": ()},
    ),
    Instrument(
        "aixgo.runtime.calls_waiting",
        "updowncounter",
        "{call}",
        "Calls that wait for one of `max_in_flight`.",
        keys={"calls_waiting": ()},
    ),
    Instrument(
        "aixgo.mail.messages",
        "counter",
        "{message}",
        "Messages `sent`, `received` with `recv`, or `refused` by a full mailbox.",
        (OUTCOME,),
        keys={
            "messages_sent": ("sent",),
            "messages_received": ("received",),
            "messages_refused": ("refused",),
        },
    ),
    Instrument(
        "aixgo.mail.waiting",
        "updowncounter",
        "{message}",
        "Messages in a mailbox.",
        ("aixgo.mailbox",),
        keys={"mailboxes.*": ()},
    ),
    Instrument(
        "aixgo.mail.dead_letters",
        "counter",
        "{message}",
        "Messages that nobody could work on.",
        keys={"dead_letters_total": ()},
    ),
    Instrument(
        "aixgo.mail.dead_letters_kept",
        "updowncounter",
        "{message}",
        "Those that `rt.dead_letters` holds.",
        keys={"dead_letters": ()},
    ),
    Instrument(
        "aixgo.spent.cost_usd",
        "counter",
        "{USD}",
        "What calls cost, with all they had others do, also elsewhere.",
        keys={"spent.cost_usd": ()},
    ),
    Instrument(
        "aixgo.spent.model_calls",
        "counter",
        "{call}",
        "The requests to models in it.",
        keys={"spent.calls": ()},
    ),
    Instrument(
        "aixgo.spent.retries",
        "counter",
        "{call}",
        "Those that repeated one.",
        keys={"spent.retries": ()},
    ),
    Instrument(
        "aixgo.spent.tokens",
        "counter",
        "{token}",
        "The tokens in it.",
        (names.TOKEN_TYPE,),
        keys={"spent.tokens_prompt": ("input",), "spent.tokens_completion": ("output",)},
    ),
    Instrument(
        "aixgo.spent.special_tokens",
        "counter",
        "{token}",
        "Of the input `cached` and `cache_write`, of the output `reasoning`.",
        (names.TOKEN_TYPE,),
        keys={
            "spent.tokens_cached": ("cached",),
            "spent.tokens_cache_write": ("cache_write",),
            "spent.tokens_reasoning": ("reasoning",),
        },
    ),
    Instrument(
        "aixgo.wire.connections",
        "updowncounter",
        "{connection}",
        "Connections to and from peers.",
        keys={"wire.connections": ()},
    ),
    Instrument(
        "aixgo.wire.connections_opened",
        "counter",
        "{connection}",
        "Connections ever opened.",
        keys={"wire.connections_opened": ()},
    ),
    Instrument(
        "aixgo.wire.frames",
        "counter",
        "{frame}",
        "Frames, `sent` and `received`.",
        (DIRECTION,),
        keys={"wire.frames_sent": ("sent",), "wire.frames_received": ("received",)},
    ),
    Instrument(
        "aixgo.wire.envelopes",
        "counter",
        "{envelope}",
        "Envelopes in them.",
        (DIRECTION,),
        keys={"wire.envelopes_sent": ("sent",), "wire.envelopes_received": ("received",)},
    ),
    Instrument(
        "aixgo.wire.traffic",
        "counter",
        "By",
        "Bytes of them.",
        (DIRECTION,),
        keys={"wire.bytes_sent": ("sent",), "wire.bytes_received": ("received",)},
    ),
    Instrument(
        "aixgo.wire.queued_envelopes",
        "updowncounter",
        "{envelope}",
        "Envelopes that wait to be written.",
        keys={"wire.queued_envelopes": ()},
    ),
    Instrument(
        "aixgo.wire.queued", "updowncounter", "By", "Bytes of them.", keys={"wire.queued_bytes": ()}
    ),
    Instrument(
        "aixgo.wire.stalls",
        "counter",
        "{stall}",
        "Waits for `room` in a queue, a `place` on a connection, a reader's `credit`.",
        ("aixgo.wire.stalled_for",),
        keys={
            "wire.stalls_room": ("room",),
            "wire.stalls_place": ("place",),
            "wire.stalls_credit": ("credit",),
        },
    ),
    Instrument(
        "aixgo.wire.credits",
        "counter",
        "{chunk}",
        "Chunks that readers here allowed.",
        keys={"wire.credits_granted": ()},
    ),
    Instrument(
        "aixgo.wire.strays",
        "counter",
        "{envelope}",
        "Envelopes for calls that had ended.",
        keys={"wire.strays": ()},
    ),
)
"""What `rt.metrics()` says, added up over the runtimes of the process."""
