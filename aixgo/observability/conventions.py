"""The names of attributes and spans, all in one place and pinned.

`gen_ai.*` and `error.type` are OpenTelemetry's semantic conventions of `VERSION`, the last release of the main
repository that defines those for generative AI; they may change in any later one, so a new version is a change
to this file and a line in the changelog. What those conventions have no word for is `aixgo.*`.
"""

from __future__ import annotations

from typing import Final

from aixgo import telemetry

__all__ = ["SCHEMA_URL", "SCOPE", "VERSION"]

VERSION: Final = "1.41.0"
SCHEMA_URL: Final = f"https://opentelemetry.io/schemas/{VERSION}"
SCOPE: Final = "aixgo"
"""The instrumentation scope of everything we emit."""

# -- spans ---------------------------------------------------------------------------------------------------

OPERATION: Final = "gen_ai.operation.name"
INVOKE_AGENT: Final = "invoke_agent"
CHAT: Final = "chat"
EXECUTE_TOOL: Final = "execute_tool"
ORCHESTRATION: Final = "orchestration"
"""Spans of patterns are called `orchestration.<pattern> <name>`."""

ERROR_TYPE: Final = "error.type"
ERROR_ID: Final = "aixgo.error.id"
"""What finds the error's traceback in the log of the process it happened in."""
CANCELLED: Final = telemetry.CANCELLED
LEFT: Final = "aixgo.stream.left"
"""True on a stream that its reader left before the end, which is no error."""
CHUNKS: Final = "aixgo.stream.chunks"

AGENT_NAME: Final = "gen_ai.agent.name"
AGENT_DESCRIPTION: Final = "gen_ai.agent.description"
AGENT_VERSION: Final = "gen_ai.agent.version"
AGENT_ROLE: Final = "aixgo.agent.role"
PROMPT_HASH: Final = "aixgo.agent.prompt_hash"
"""The first 16 hex digits of the SHA-256 of the agent's prompt."""
CONVERSATION: Final = "gen_ai.conversation.id"
"""The call's session."""
USER: Final = "user.id"
"""The call's principal."""
TENANT: Final = "aixgo.tenant"
CALL_KEY: Final = "aixgo.call.key"
HOP: Final = "aixgo.call.hop"
"""How many agents the call has passed through, this one included."""
FIRST_CHUNK: Final = "gen_ai.response.time_to_first_chunk"

PROVIDER: Final = "gen_ai.provider.name"
REQUEST_MODEL: Final = "gen_ai.request.model"
REQUEST_STREAM: Final = "gen_ai.request.stream"
REQUEST_TEMPERATURE: Final = "gen_ai.request.temperature"
REQUEST_TOP_P: Final = "gen_ai.request.top_p"
REQUEST_MAX_TOKENS: Final = "gen_ai.request.max_tokens"
REQUEST_SEED: Final = "gen_ai.request.seed"
REQUEST_STOP: Final = "gen_ai.request.stop_sequences"
OUTPUT_TYPE: Final = "gen_ai.output.type"
RESPONSE_MODEL: Final = "gen_ai.response.model"
FINISH_REASONS: Final = "gen_ai.response.finish_reasons"
INPUT_TOKENS: Final = "gen_ai.usage.input_tokens"
OUTPUT_TOKENS: Final = "gen_ai.usage.output_tokens"
CACHED_TOKENS: Final = "gen_ai.usage.cache_read.input_tokens"
CACHE_WRITE_TOKENS: Final = "gen_ai.usage.cache_creation.input_tokens"
REASONING_TOKENS: Final = "gen_ai.usage.reasoning.output_tokens"
COST: Final = "aixgo.usage.cost_usd"
CACHE_HIT: Final = "aixgo.cache.hit"
"""True on a request that was answered with an answer given before; nobody was asked."""

QUALITY_PREFIX: Final = "quality."
"""What `record_quality_score` was told, by dimension."""

TREE_INPUT: Final = "aixgo.total.input_tokens"
"""What a call used with everything below it; the `gen_ai.usage` of model spans adds up to it."""
TREE_OUTPUT: Final = "aixgo.total.output_tokens"
TREE_COST: Final = "aixgo.total.cost_usd"
TREE_CALLS: Final = "aixgo.total.model_calls"

TOKEN_TYPE: Final = "gen_ai.token.type"  # noqa: S105 - no secret
"""In metrics: `input` or `output`."""

TOOL_NAME: Final = "gen_ai.tool.name"
TOOL_TYPE: Final = "gen_ai.tool.type"
TOOL_CALL_ID: Final = "gen_ai.tool.call.id"
TOOL_ERROR: Final = "tool_error"

# -- content, only when asked for ----------------------------------------------------------------------------

INSTRUCTIONS: Final = "gen_ai.system_instructions"
INPUT_MESSAGES: Final = "gen_ai.input.messages"
OUTPUT_MESSAGES: Final = "gen_ai.output.messages"
TOOL_ARGUMENTS: Final = "gen_ai.tool.call.arguments"
TOOL_RESULT: Final = "gen_ai.tool.call.result"

# -- patterns ------------------------------------------------------------------------------------------------

PATTERN: Final = "aixgo.orchestration.pattern"
ORCHESTRATION_NAME: Final = "gen_ai.workflow.name"
ORCHESTRATION_PREFIX: Final = "aixgo.orchestration."
"""A pattern's own facts, as its result's metadata names them."""
CALLS: Final = "aixgo.orchestration.calls"
SUCCEEDED: Final = "aixgo.orchestration.succeeded"
FAILED: Final = "aixgo.orchestration.failed"
WAIT: Final = "aixgo.orchestration.wait_seconds"
"""How long the first of several simultaneous replies waited for the last."""
CLASSIFY: Final = "aixgo.orchestration.classify_seconds"
ROUTE: Final = "aixgo.orchestration.route_seconds"
CATEGORY: Final = f"{ORCHESTRATION_PREFIX}category"
DEGRADED: Final = f"{ORCHESTRATION_PREFIX}degraded"
STOPPED_BY: Final = f"{ORCHESTRATION_PREFIX}stopped_by"
USED_FALLBACK: Final = f"{ORCHESTRATION_PREFIX}used_fallback"
