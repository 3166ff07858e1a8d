"""A message's payload inside the JSON that a pattern hands to the next agent.

Below: message. Above: the patterns that put several agents' answers into one.
"""

from __future__ import annotations

import base64

from aixgo.message import JSONValue, Message

__all__ = ["json_payload"]


def json_payload(message: Message) -> JSONValue:
    """The payload as a JSON value: bytes that are no text become base64."""
    payload = message.payload
    if not isinstance(payload, bytes):
        return payload
    if message.content_type.startswith("text/"):
        return message.text
    return base64.b64encode(payload).decode()
