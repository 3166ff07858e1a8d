from aixgo.v1 import message_pb2 as _message_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Method(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    METHOD_UNSPECIFIED: _ClassVar[Method]
    METHOD_EXECUTE: _ClassVar[Method]
    METHOD_EXECUTE_STREAM: _ClassVar[Method]
    METHOD_SEND: _ClassVar[Method]
    METHOD_RECEIVE: _ClassVar[Method]
METHOD_UNSPECIFIED: Method
METHOD_EXECUTE: Method
METHOD_EXECUTE_STREAM: Method
METHOD_SEND: Method
METHOD_RECEIVE: Method

class ExecuteRequest(_message.Message):
    __slots__ = ("envelope", "target", "message")
    ENVELOPE_FIELD_NUMBER: _ClassVar[int]
    TARGET_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    envelope: _message_pb2.CallEnvelope
    target: str
    message: _message_pb2.Message
    def __init__(self, envelope: _Optional[_Union[_message_pb2.CallEnvelope, _Mapping]] = ..., target: _Optional[str] = ..., message: _Optional[_Union[_message_pb2.Message, _Mapping]] = ...) -> None: ...

class ExecuteResponse(_message.Message):
    __slots__ = ("message",)
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    message: _message_pb2.Message
    def __init__(self, message: _Optional[_Union[_message_pb2.Message, _Mapping]] = ...) -> None: ...

class ExecuteStreamRequest(_message.Message):
    __slots__ = ("envelope", "target", "message")
    ENVELOPE_FIELD_NUMBER: _ClassVar[int]
    TARGET_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    envelope: _message_pb2.CallEnvelope
    target: str
    message: _message_pb2.Message
    def __init__(self, envelope: _Optional[_Union[_message_pb2.CallEnvelope, _Mapping]] = ..., target: _Optional[str] = ..., message: _Optional[_Union[_message_pb2.Message, _Mapping]] = ...) -> None: ...

class ExecuteStreamResponse(_message.Message):
    __slots__ = ("chunk", "final")
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    FINAL_FIELD_NUMBER: _ClassVar[int]
    chunk: _message_pb2.StreamChunk
    final: _message_pb2.Message
    def __init__(self, chunk: _Optional[_Union[_message_pb2.StreamChunk, _Mapping]] = ..., final: _Optional[_Union[_message_pb2.Message, _Mapping]] = ...) -> None: ...

class SendRequest(_message.Message):
    __slots__ = ("envelope", "target", "message")
    ENVELOPE_FIELD_NUMBER: _ClassVar[int]
    TARGET_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    envelope: _message_pb2.CallEnvelope
    target: str
    message: _message_pb2.Message
    def __init__(self, envelope: _Optional[_Union[_message_pb2.CallEnvelope, _Mapping]] = ..., target: _Optional[str] = ..., message: _Optional[_Union[_message_pb2.Message, _Mapping]] = ...) -> None: ...

class SendResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ReceiveRequest(_message.Message):
    __slots__ = ("envelope", "name")
    ENVELOPE_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    envelope: _message_pb2.CallEnvelope
    name: str
    def __init__(self, envelope: _Optional[_Union[_message_pb2.CallEnvelope, _Mapping]] = ..., name: _Optional[str] = ...) -> None: ...

class ReceiveResponse(_message.Message):
    __slots__ = ("message",)
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    message: _message_pb2.Message
    def __init__(self, message: _Optional[_Union[_message_pb2.Message, _Mapping]] = ...) -> None: ...

class DescribeRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class DescribeResponse(_message.Message):
    __slots__ = ("version", "instance", "implementation", "draining", "agents")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    INSTANCE_FIELD_NUMBER: _ClassVar[int]
    IMPLEMENTATION_FIELD_NUMBER: _ClassVar[int]
    DRAINING_FIELD_NUMBER: _ClassVar[int]
    AGENTS_FIELD_NUMBER: _ClassVar[int]
    version: int
    instance: str
    implementation: str
    draining: bool
    agents: _containers.RepeatedCompositeFieldContainer[AgentDescription]
    def __init__(self, version: _Optional[int] = ..., instance: _Optional[str] = ..., implementation: _Optional[str] = ..., draining: bool = ..., agents: _Optional[_Iterable[_Union[AgentDescription, _Mapping]]] = ...) -> None: ...

class AgentDescription(_message.Message):
    __slots__ = ("name", "role", "kind", "description", "pattern", "model", "streams", "mailbox", "ready", "input_schema", "output_schema", "members", "pending")
    NAME_FIELD_NUMBER: _ClassVar[int]
    ROLE_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    PATTERN_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    STREAMS_FIELD_NUMBER: _ClassVar[int]
    MAILBOX_FIELD_NUMBER: _ClassVar[int]
    READY_FIELD_NUMBER: _ClassVar[int]
    INPUT_SCHEMA_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_SCHEMA_FIELD_NUMBER: _ClassVar[int]
    MEMBERS_FIELD_NUMBER: _ClassVar[int]
    PENDING_FIELD_NUMBER: _ClassVar[int]
    name: str
    role: str
    kind: str
    description: str
    pattern: str
    model: str
    streams: bool
    mailbox: bool
    ready: bool
    input_schema: bytes
    output_schema: bytes
    members: _containers.RepeatedScalarFieldContainer[str]
    pending: int
    def __init__(self, name: _Optional[str] = ..., role: _Optional[str] = ..., kind: _Optional[str] = ..., description: _Optional[str] = ..., pattern: _Optional[str] = ..., model: _Optional[str] = ..., streams: bool = ..., mailbox: bool = ..., ready: bool = ..., input_schema: _Optional[bytes] = ..., output_schema: _Optional[bytes] = ..., members: _Optional[_Iterable[str]] = ..., pending: _Optional[int] = ...) -> None: ...

class ConnectRequest(_message.Message):
    __slots__ = ("envelopes",)
    ENVELOPES_FIELD_NUMBER: _ClassVar[int]
    envelopes: _containers.RepeatedCompositeFieldContainer[Envelope]
    def __init__(self, envelopes: _Optional[_Iterable[_Union[Envelope, _Mapping]]] = ...) -> None: ...

class ConnectResponse(_message.Message):
    __slots__ = ("envelopes",)
    ENVELOPES_FIELD_NUMBER: _ClassVar[int]
    envelopes: _containers.RepeatedCompositeFieldContainer[Envelope]
    def __init__(self, envelopes: _Optional[_Iterable[_Union[Envelope, _Mapping]]] = ...) -> None: ...

class Envelope(_message.Message):
    __slots__ = ("call", "hello", "ping", "go_away", "request", "cancel", "admitted", "chunk", "delivery", "reply", "status", "credit", "piece")
    CALL_FIELD_NUMBER: _ClassVar[int]
    HELLO_FIELD_NUMBER: _ClassVar[int]
    PING_FIELD_NUMBER: _ClassVar[int]
    GO_AWAY_FIELD_NUMBER: _ClassVar[int]
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    CANCEL_FIELD_NUMBER: _ClassVar[int]
    ADMITTED_FIELD_NUMBER: _ClassVar[int]
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    DELIVERY_FIELD_NUMBER: _ClassVar[int]
    REPLY_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    CREDIT_FIELD_NUMBER: _ClassVar[int]
    PIECE_FIELD_NUMBER: _ClassVar[int]
    call: int
    hello: Hello
    ping: Ping
    go_away: GoAway
    request: Request
    cancel: Cancel
    admitted: Admitted
    chunk: _message_pb2.StreamChunk
    delivery: Delivery
    reply: Reply
    status: CallStatus
    credit: Credit
    piece: Piece
    def __init__(self, call: _Optional[int] = ..., hello: _Optional[_Union[Hello, _Mapping]] = ..., ping: _Optional[_Union[Ping, _Mapping]] = ..., go_away: _Optional[_Union[GoAway, _Mapping]] = ..., request: _Optional[_Union[Request, _Mapping]] = ..., cancel: _Optional[_Union[Cancel, _Mapping]] = ..., admitted: _Optional[_Union[Admitted, _Mapping]] = ..., chunk: _Optional[_Union[_message_pb2.StreamChunk, _Mapping]] = ..., delivery: _Optional[_Union[Delivery, _Mapping]] = ..., reply: _Optional[_Union[Reply, _Mapping]] = ..., status: _Optional[_Union[CallStatus, _Mapping]] = ..., credit: _Optional[_Union[Credit, _Mapping]] = ..., piece: _Optional[_Union[Piece, _Mapping]] = ...) -> None: ...

class Hello(_message.Message):
    __slots__ = ("version", "instance", "features", "max_concurrent_calls", "max_frame_envelopes", "max_frame_bytes", "chunk_window")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    INSTANCE_FIELD_NUMBER: _ClassVar[int]
    FEATURES_FIELD_NUMBER: _ClassVar[int]
    MAX_CONCURRENT_CALLS_FIELD_NUMBER: _ClassVar[int]
    MAX_FRAME_ENVELOPES_FIELD_NUMBER: _ClassVar[int]
    MAX_FRAME_BYTES_FIELD_NUMBER: _ClassVar[int]
    CHUNK_WINDOW_FIELD_NUMBER: _ClassVar[int]
    version: int
    instance: str
    features: _containers.RepeatedScalarFieldContainer[str]
    max_concurrent_calls: int
    max_frame_envelopes: int
    max_frame_bytes: int
    chunk_window: int
    def __init__(self, version: _Optional[int] = ..., instance: _Optional[str] = ..., features: _Optional[_Iterable[str]] = ..., max_concurrent_calls: _Optional[int] = ..., max_frame_envelopes: _Optional[int] = ..., max_frame_bytes: _Optional[int] = ..., chunk_window: _Optional[int] = ...) -> None: ...

class Request(_message.Message):
    __slots__ = ("method", "envelope", "target", "message")
    METHOD_FIELD_NUMBER: _ClassVar[int]
    ENVELOPE_FIELD_NUMBER: _ClassVar[int]
    TARGET_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    method: Method
    envelope: _message_pb2.CallEnvelope
    target: str
    message: _message_pb2.Message
    def __init__(self, method: _Optional[_Union[Method, str]] = ..., envelope: _Optional[_Union[_message_pb2.CallEnvelope, _Mapping]] = ..., target: _Optional[str] = ..., message: _Optional[_Union[_message_pb2.Message, _Mapping]] = ...) -> None: ...

class Cancel(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Admitted(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Delivery(_message.Message):
    __slots__ = ("message",)
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    message: _message_pb2.Message
    def __init__(self, message: _Optional[_Union[_message_pb2.Message, _Mapping]] = ...) -> None: ...

class Reply(_message.Message):
    __slots__ = ("message",)
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    message: _message_pb2.Message
    def __init__(self, message: _Optional[_Union[_message_pb2.Message, _Mapping]] = ...) -> None: ...

class CallStatus(_message.Message):
    __slots__ = ("code", "error")
    CODE_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    code: int
    error: _message_pb2.ErrorDetail
    def __init__(self, code: _Optional[int] = ..., error: _Optional[_Union[_message_pb2.ErrorDetail, _Mapping]] = ...) -> None: ...

class Credit(_message.Message):
    __slots__ = ("chunks", "piece_bytes")
    CHUNKS_FIELD_NUMBER: _ClassVar[int]
    PIECE_BYTES_FIELD_NUMBER: _ClassVar[int]
    chunks: int
    piece_bytes: int
    def __init__(self, chunks: _Optional[int] = ..., piece_bytes: _Optional[int] = ...) -> None: ...

class Ping(_message.Message):
    __slots__ = ("id", "answer")
    ID_FIELD_NUMBER: _ClassVar[int]
    ANSWER_FIELD_NUMBER: _ClassVar[int]
    id: int
    answer: bool
    def __init__(self, id: _Optional[int] = ..., answer: bool = ...) -> None: ...

class GoAway(_message.Message):
    __slots__ = ("reason",)
    REASON_FIELD_NUMBER: _ClassVar[int]
    reason: str
    def __init__(self, reason: _Optional[str] = ...) -> None: ...

class Piece(_message.Message):
    __slots__ = ("total_bytes", "data")
    TOTAL_BYTES_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    total_bytes: int
    data: bytes
    def __init__(self, total_bytes: _Optional[int] = ..., data: _Optional[bytes] = ...) -> None: ...
