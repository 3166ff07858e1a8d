"""What gRPC's texts about a failed attempt mean, those of the oldest supported grpcio too."""

from __future__ import annotations

import pytest

from aixgo.rpc.symptoms import symptom

FAILED = "failed to connect to all addresses; last error: UNKNOWN: ipv4:127.0.0.1:1: "


@pytest.mark.parametrize(
    ("details", "said"),
    [
        ("Ssl handshake failed (TSI_PROTOCOL_FAILURE): certificate has expired", "has expired"),
        ("Tls handshake failed (TSI_PROTOCOL_FAILURE): certificate has expired: OK", "has expired"),
        ("Peer name 10.0.0.7 is not in peer certificate", "is not for 'writer'"),
        ("UNAUTHENTICATED: Hostname Verification Check failed.", "is not for 'writer'"),
        ("Tls handshake failed (TSI_PROTOCOL_FAILURE): something new", "failed in the handshake"),
        ("Secure read failed (Socket closed)", "it closed"),
        ("Failed to create security handshaker.", "our own certificate"),
        ("something new", "unreachable"),
    ],
)
def test_a_text_becomes_a_reason(details: str, said: str) -> None:
    assert said in symptom(FAILED + details, name="writer", refused=lambda: "it closed")


def test_over_plaintext_a_closed_connection_may_have_wanted_tls() -> None:
    assert "wants TLS" in symptom(f"{FAILED}Socket closed", name="writer", refused=None)
