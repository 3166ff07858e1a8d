"""What a host tells about itself ↔ its protobuf form: `PeerInfo` and `DescribeResponse`.

Below: base, codec's conventions. Above: server, unary.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version

import msgspec

from aixgo.contract import AgentDescription
from aixgo.errors import InvalidMessage
from aixgo.message import NOT_JSON, JSONValue, to_json_bytes
from aixgo.rpc.base import WIRE_VERSION, Host, PeerInfo
from aixgo.v1 import agent_service_pb2 as pb

__all__ = ["describe_host", "read_description"]


def describe_host(host: Host) -> pb.DescribeResponse:
    """What `host` tells its peers now."""
    response = pb.DescribeResponse(
        version=WIRE_VERSION,
        instance=host.instance,
        implementation=_implementation(),
        draining=host.draining,
    )
    for about in host.descriptions():
        _fill_agent(response.agents.add(), about)
    return response


def read_description(response: pb.DescribeResponse) -> PeerInfo:
    """What a peer told about itself.

    Raises:
        InvalidMessage: a schema in it is no JSON object.
    """
    return PeerInfo(
        instance=response.instance,
        version=response.version or 1,
        implementation=response.implementation,
        draining=response.draining,
        agents=tuple([_read_agent(agent) for agent in response.agents]),
    )


def _implementation() -> str:
    try:
        return f"aixgo/{version('aixgo')}"
    except PackageNotFoundError:  # run from a checkout that is not installed
        return "aixgo"


def _fill_agent(proto: pb.AgentDescription, about: AgentDescription) -> None:
    proto.name = about.name
    proto.role = about.role
    proto.kind = about.kind
    proto.description = about.description
    proto.pattern = about.pattern
    proto.model = about.model
    proto.streams = about.streams
    proto.mailbox = about.mailbox
    proto.ready = about.ready
    proto.pending = about.pending
    if about.input_schema is not None:
        proto.input_schema = to_json_bytes(about.input_schema, f"input_schema of {about.name}")
    if about.output_schema is not None:
        proto.output_schema = to_json_bytes(about.output_schema, f"output_schema of {about.name}")
    proto.members.extend(about.members)


def _read_agent(proto: pb.AgentDescription) -> AgentDescription:
    return AgentDescription(
        name=proto.name,
        role=proto.role,
        kind=proto.kind or "agent",
        description=proto.description,
        pattern=proto.pattern,
        model=proto.model,
        streams=proto.streams,
        mailbox=proto.mailbox,
        ready=proto.ready,
        pending=proto.pending,
        input_schema=_read_schema(proto.input_schema, proto.name),
        output_schema=_read_schema(proto.output_schema, proto.name),
        members=tuple(proto.members),
    )


def _read_schema(encoded: bytes, name: str) -> Mapping[str, JSONValue] | None:
    if not encoded:
        return None
    try:
        return msgspec.json.decode(encoded, type=dict)
    except NOT_JSON as exc:
        raise InvalidMessage("is no JSON object", f"a schema of {name!r}") from exc
