from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Message(_message.Message):
    __slots__ = ("id", "type", "text", "json", "data", "content_type", "metadata", "source", "timestamp_unix_nano", "usage")
    ID_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    JSON_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    CONTENT_TYPE_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMP_UNIX_NANO_FIELD_NUMBER: _ClassVar[int]
    USAGE_FIELD_NUMBER: _ClassVar[int]
    id: str
    type: str
    text: str
    json: bytes
    data: bytes
    content_type: str
    metadata: bytes
    source: str
    timestamp_unix_nano: int
    usage: Usage
    def __init__(self, id: _Optional[str] = ..., type: _Optional[str] = ..., text: _Optional[str] = ..., json: _Optional[bytes] = ..., data: _Optional[bytes] = ..., content_type: _Optional[str] = ..., metadata: _Optional[bytes] = ..., source: _Optional[str] = ..., timestamp_unix_nano: _Optional[int] = ..., usage: _Optional[_Union[Usage, _Mapping]] = ...) -> None: ...

class Usage(_message.Message):
    __slots__ = ("cost_nanos", "tokens_prompt", "tokens_completion", "tokens_cached", "tokens_reasoning", "calls", "unsettled", "tokens_cache_write", "retries", "lines")
    COST_NANOS_FIELD_NUMBER: _ClassVar[int]
    TOKENS_PROMPT_FIELD_NUMBER: _ClassVar[int]
    TOKENS_COMPLETION_FIELD_NUMBER: _ClassVar[int]
    TOKENS_CACHED_FIELD_NUMBER: _ClassVar[int]
    TOKENS_REASONING_FIELD_NUMBER: _ClassVar[int]
    CALLS_FIELD_NUMBER: _ClassVar[int]
    UNSETTLED_FIELD_NUMBER: _ClassVar[int]
    TOKENS_CACHE_WRITE_FIELD_NUMBER: _ClassVar[int]
    RETRIES_FIELD_NUMBER: _ClassVar[int]
    LINES_FIELD_NUMBER: _ClassVar[int]
    cost_nanos: int
    tokens_prompt: int
    tokens_completion: int
    tokens_cached: int
    tokens_reasoning: int
    calls: int
    unsettled: bool
    tokens_cache_write: int
    retries: int
    lines: _containers.RepeatedCompositeFieldContainer[UsageLine]
    def __init__(self, cost_nanos: _Optional[int] = ..., tokens_prompt: _Optional[int] = ..., tokens_completion: _Optional[int] = ..., tokens_cached: _Optional[int] = ..., tokens_reasoning: _Optional[int] = ..., calls: _Optional[int] = ..., unsettled: bool = ..., tokens_cache_write: _Optional[int] = ..., retries: _Optional[int] = ..., lines: _Optional[_Iterable[_Union[UsageLine, _Mapping]]] = ...) -> None: ...

class UsageLine(_message.Message):
    __slots__ = ("path", "model", "provider", "pattern", "session", "principal", "usage")
    PATH_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_FIELD_NUMBER: _ClassVar[int]
    PATTERN_FIELD_NUMBER: _ClassVar[int]
    SESSION_FIELD_NUMBER: _ClassVar[int]
    PRINCIPAL_FIELD_NUMBER: _ClassVar[int]
    USAGE_FIELD_NUMBER: _ClassVar[int]
    path: _containers.RepeatedScalarFieldContainer[str]
    model: str
    provider: str
    pattern: str
    session: str
    principal: str
    usage: Usage
    def __init__(self, path: _Optional[_Iterable[str]] = ..., model: _Optional[str] = ..., provider: _Optional[str] = ..., pattern: _Optional[str] = ..., session: _Optional[str] = ..., principal: _Optional[str] = ..., usage: _Optional[_Union[Usage, _Mapping]] = ...) -> None: ...

class Budget(_message.Message):
    __slots__ = ("nanos", "tokens", "calls")
    NANOS_FIELD_NUMBER: _ClassVar[int]
    TOKENS_FIELD_NUMBER: _ClassVar[int]
    CALLS_FIELD_NUMBER: _ClassVar[int]
    nanos: int
    tokens: int
    calls: int
    def __init__(self, nanos: _Optional[int] = ..., tokens: _Optional[int] = ..., calls: _Optional[int] = ...) -> None: ...

class StreamChunk(_message.Message):
    __slots__ = ("type", "content", "tool_calls", "source", "path", "sequence", "status", "error", "usage", "timestamp_unix_seconds")
    TYPE_FIELD_NUMBER: _ClassVar[int]
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    TOOL_CALLS_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    USAGE_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMP_UNIX_SECONDS_FIELD_NUMBER: _ClassVar[int]
    type: str
    content: str
    tool_calls: bytes
    source: str
    path: _containers.RepeatedScalarFieldContainer[str]
    sequence: int
    status: str
    error: ErrorDetail
    usage: Usage
    timestamp_unix_seconds: float
    def __init__(self, type: _Optional[str] = ..., content: _Optional[str] = ..., tool_calls: _Optional[bytes] = ..., source: _Optional[str] = ..., path: _Optional[_Iterable[str]] = ..., sequence: _Optional[int] = ..., status: _Optional[str] = ..., error: _Optional[_Union[ErrorDetail, _Mapping]] = ..., usage: _Optional[_Union[Usage, _Mapping]] = ..., timestamp_unix_seconds: _Optional[float] = ...) -> None: ...

class CallEnvelope(_message.Message):
    __slots__ = ("version", "timeout_nanos", "budget", "idempotency_key", "session", "principal", "tenant", "traceparent", "baggage", "hops", "max_hops", "key", "tracestate")
    class BaggageEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    VERSION_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_NANOS_FIELD_NUMBER: _ClassVar[int]
    BUDGET_FIELD_NUMBER: _ClassVar[int]
    IDEMPOTENCY_KEY_FIELD_NUMBER: _ClassVar[int]
    SESSION_FIELD_NUMBER: _ClassVar[int]
    PRINCIPAL_FIELD_NUMBER: _ClassVar[int]
    TENANT_FIELD_NUMBER: _ClassVar[int]
    TRACEPARENT_FIELD_NUMBER: _ClassVar[int]
    BAGGAGE_FIELD_NUMBER: _ClassVar[int]
    HOPS_FIELD_NUMBER: _ClassVar[int]
    MAX_HOPS_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    TRACESTATE_FIELD_NUMBER: _ClassVar[int]
    version: int
    timeout_nanos: int
    budget: Budget
    idempotency_key: str
    session: str
    principal: str
    tenant: str
    traceparent: str
    baggage: _containers.ScalarMap[str, str]
    hops: _containers.RepeatedCompositeFieldContainer[Hop]
    max_hops: int
    key: str
    tracestate: str
    def __init__(self, version: _Optional[int] = ..., timeout_nanos: _Optional[int] = ..., budget: _Optional[_Union[Budget, _Mapping]] = ..., idempotency_key: _Optional[str] = ..., session: _Optional[str] = ..., principal: _Optional[str] = ..., tenant: _Optional[str] = ..., traceparent: _Optional[str] = ..., baggage: _Optional[_Mapping[str, str]] = ..., hops: _Optional[_Iterable[_Union[Hop, _Mapping]]] = ..., max_hops: _Optional[int] = ..., key: _Optional[str] = ..., tracestate: _Optional[str] = ...) -> None: ...

class Hop(_message.Message):
    __slots__ = ("instance", "agent", "key")
    INSTANCE_FIELD_NUMBER: _ClassVar[int]
    AGENT_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    instance: str
    agent: str
    key: str
    def __init__(self, instance: _Optional[str] = ..., agent: _Optional[str] = ..., key: _Optional[str] = ...) -> None: ...

class ErrorDetail(_message.Message):
    __slots__ = ("kind", "error_id", "agent", "fields", "retryable", "usage", "partial")
    KIND_FIELD_NUMBER: _ClassVar[int]
    ERROR_ID_FIELD_NUMBER: _ClassVar[int]
    AGENT_FIELD_NUMBER: _ClassVar[int]
    FIELDS_FIELD_NUMBER: _ClassVar[int]
    RETRYABLE_FIELD_NUMBER: _ClassVar[int]
    USAGE_FIELD_NUMBER: _ClassVar[int]
    PARTIAL_FIELD_NUMBER: _ClassVar[int]
    kind: str
    error_id: str
    agent: str
    fields: bytes
    retryable: bool
    usage: Usage
    partial: bytes
    def __init__(self, kind: _Optional[str] = ..., error_id: _Optional[str] = ..., agent: _Optional[str] = ..., fields: _Optional[bytes] = ..., retryable: bool = ..., usage: _Optional[_Union[Usage, _Mapping]] = ..., partial: _Optional[bytes] = ...) -> None: ...
