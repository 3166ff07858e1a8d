"""Payloads as JSON: inside what a pattern hands to the next agent, and written by an agent into its text.

Below: message. Above: the patterns that put several agents' answers into one, or take one apart.
"""

from __future__ import annotations

import base64
import re
from typing import cast

import msgspec

from aixgo.message import JSONValue, Message

__all__ = ["json_payload", "read_json", "stated_in"]

FENCE = re.compile(r"```\w*\n(.*)\n```", re.DOTALL)


def json_payload(message: Message) -> JSONValue:
    """The payload as a JSON value: bytes that are no text become base64."""
    payload = message.payload
    if not isinstance(payload, bytes):
        return payload
    if message.content_type.startswith("text/"):
        return message.text
    return base64.b64encode(payload).decode()


def stated_in(reply: Message) -> JSONValue | bytes:
    """The payload; of a text that is a JSON object or list, also in a code fence, that: models write it so."""
    payload = reply.payload
    if isinstance(payload, str) and payload.lstrip()[:1] in ("{", "[", "`"):
        try:
            found = read_json(payload)
        except ValueError:
            return payload
        return found if isinstance(found, dict | list) else payload
    return payload


def read_json(text: str) -> JSONValue:
    """The value that `text` is as JSON, in a code fence too.

    Raises:
        ValueError: it is none, or nested far too deeply.
    """
    fenced = FENCE.fullmatch(text.strip())
    try:
        return cast("JSONValue", msgspec.json.decode(fenced[1] if fenced else text))
    except RecursionError as exc:
        raise ValueError("it is nested too deeply") from exc
