"""What was spent ↔ its protobuf form: sums, and the lines of their ledgers.

Below: `aixgo.v1`, ledger. Above: codec.
"""

from __future__ import annotations

from aixgo.ledger import COUNTS, OTHERS, Ledger, Line, Usage, whole
from aixgo.v1 import message_pb2 as pb

__all__ = ["fill_usage", "read_usage", "valid"]

LEDGER_BYTES = 256 * 1024  # of the lines beside a reply; the rest of them is added up
LINE_BYTES = 96  # of a line, about, beside its texts


def fill_usage(proto: pb.Usage, usage: Usage, room: int = LEDGER_BYTES) -> None:
    """Write `usage` into `proto`, marking it present even when it is zero, with what of its ledger has room.

    It never raises: what was spent must not keep an answer from its caller.
    """
    proto.SetInParent()
    for name in COUNTS:
        if value := getattr(usage, name):
            setattr(proto, name, whole(value))
    if usage.unsettled:
        proto.unsettled = True
    if usage.ledger is not None:
        _fill_lines(proto, usage.ledger, room)


def _fill_lines(proto: pb.Usage, ledger: Ledger, room: int) -> None:
    """Write the lines of `ledger`, the dearest first, and as one what would take more than `room` bytes."""
    rest: Usage | None = None
    room -= LINE_BYTES  # for that one
    for line, usage in sorted(ledger, key=lambda e: (-e[1].cost_nanos, -e[1].tokens_total)):
        texts = (line.model, line.provider, line.pattern, line.session, line.principal)
        room -= LINE_BYTES + sum(_most_bytes(text) for text in (*texts, *line.path))
        if room < 0 or line == OTHERS:
            rest = rest or Usage()
            rest.add(usage)
        else:
            _fill_line(proto.lines.add(), line, usage)
    if rest is not None:
        _fill_line(proto.lines.add(), OTHERS, rest)


def _most_bytes(text: str) -> int:
    return len(text) if text.isascii() else 4 * len(text)


def _fill_line(proto: pb.UsageLine, line: Line, usage: Usage) -> None:
    proto.path.extend([valid(name) for name in line.path])
    proto.model = valid(line.model)
    proto.provider = valid(line.provider)
    proto.pattern = valid(line.pattern)
    proto.session = valid(line.session)
    proto.principal = valid(line.principal)
    fill_usage(proto.usage, usage)


def read_usage(proto: pb.Usage) -> Usage:
    """What a peer reports; less than nothing is nothing, so that it cannot give a budget anything back."""
    return Usage(
        cost_nanos=max(0, proto.cost_nanos),
        tokens_prompt=max(0, proto.tokens_prompt),
        tokens_completion=max(0, proto.tokens_completion),
        tokens_cached=max(0, proto.tokens_cached),
        tokens_reasoning=max(0, proto.tokens_reasoning),
        calls=max(0, proto.calls),
        unsettled=proto.unsettled,
        tokens_cache_write=max(0, proto.tokens_cache_write),
        retries=max(0, proto.retries),
        ledger=_read_lines(proto) if proto.lines else None,
    )


def _read_lines(proto: pb.Usage) -> Ledger:
    """The lines a peer sent, as many as we keep."""
    ledger = Ledger()
    for each in proto.lines:
        line = Line(
            tuple(each.path),
            each.model,
            each.provider,
            each.pattern,
            each.session,
            each.principal,
        )
        each.usage.ClearField("lines")
        ledger.note(line, read_usage(each.usage))
    return ledger


def valid(text: str) -> str:
    """`text` without lone surrogates: an error must cross, whatever was put into it."""
    return text if text.isascii() else text.encode(errors="replace").decode()
