"""What the bare sides have in common: the protobuf messages that a call of aixgo carries."""

import asyncio
import time

from aixgo.v1 import agent_service_pb2 as pb
from aixgo.v1 import message_pb2
from tests.benchmarks.side import pause

OPTIONS = [  # the stock limit of 4 MiB would refuse the big messages
    ("grpc.max_send_message_length", 65 << 20),
    ("grpc.max_receive_message_length", 65 << 20),
    ("grpc.use_local_subchannel_pool", 1),  # each channel has a connection of its own
]


def request_of(target: str, text: str) -> pb.Request:
    return pb.Request(
        method=pb.METHOD_EXECUTE,
        envelope=message_pb2.CallEnvelope(version=1, timeout_nanos=60 * 10**9),
        target=target,
        message=message_pb2.Message(
            id="0" * 32, type="message", text=text, timestamp_unix_nano=time.time_ns()
        ),
    )


async def answer(target: str, message: message_pb2.Message) -> message_pb2.Message:
    """What the agents of the same names do."""
    if target == "jitter":
        await pause()
    elif target == "tasks":
        return message_pb2.Message(text=str(len(asyncio.all_tasks())))
    return message


def reply_to(call: int, message: message_pb2.Message) -> pb.Envelope:
    return pb.Envelope(call=call, reply=pb.Reply(message=message))
