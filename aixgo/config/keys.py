"""Every key a configuration may have: its kind, its default, what it does, what it needs.

One table per kind of mapping. What a role or a pattern adds for itself stands in its own class
(`config_keys`); the blocks here are those that files share.

Below: config.schema. Above: config.check, `aixgo schema`.
"""

from __future__ import annotations

from aixgo.config.schema import Feature, Key, Kind
from aixgo.message import JSONValue

__all__ = [
    "AGENT_KEYS",
    "DEPLOYMENT_KEYS",
    "LIMIT_KEYS",
    "ORCHESTRATION_KEYS",
    "PATTERN_KEYS",
    "ROOT_KEYS",
]

TEXT, INTEGER, NUMBER, BOOLEAN = Kind.TEXT, Kind.INTEGER, Kind.NUMBER, Kind.BOOLEAN
DURATION, TEXTS, BLOCK, BLOCKS, ANY = Kind.DURATION, Kind.TEXTS, Kind.BLOCK, Kind.BLOCKS, Kind.ANY

SESSIONS = Feature(name="sessions")
MCP = Feature(name="MCP servers")
TOOLS = Feature(name="tools")
RETRIEVAL = Feature(name="retrieval")
GUIDED = Feature(name="guided generation")
HANDOFFS = Feature(name="the swarm pattern")
OBSERVABILITY = Feature(name="configured observability")
SERVER = Feature(name="the HTTP server")
TUNING = Feature(name="runtime tuning in a file")
SETTINGS = Feature(name="settings outside agents")
AUTH = Feature(name="authentication", security=True)
AUTHORIZATION = Feature(name="authorization", security=True)
AUDIT = Feature(name="audit logging", security=True)
TLS = Feature(name="TLS", security=True)
RATE_LIMITS = Feature(name="rate limiting", security=True)


def key(
    name: str,
    kind: Kind,
    about: str,
    default: JSONValue = None,
    *keys: Key,
    choices: tuple[str, ...] = (),
    minimum: float | None = None,
    required: bool = False,
    needs: Feature | None = None,
    harmless: tuple[JSONValue, ...] = (),
) -> Key:
    return Key(
        name=name,
        kind=kind,
        about=about,
        default=default,
        choices=choices,
        minimum=minimum,
        required=required,
        needs=needs,
        harmless=harmless,
        keys=keys,
    )


CATEGORY_KEYS = (
    key("name", TEXT, "the category", required=True),
    key("description", TEXT, "what belongs to it", ""),
    key("keywords", TEXTS, "words that point to it"),
    key("examples", TEXTS, "texts that belong to it"),
)

CLASSIFIER_KEYS = (
    key("categories", BLOCKS, "what a text may be", None, *CATEGORY_KEYS),
    key("confidence_threshold", NUMBER, "below it a class counts as doubtful", 0.7, minimum=0),
    key("multi_label", BOOLEAN, "a text may have several classes", False),
    key("use_embeddings", BOOLEAN, "compare by meaning", False, needs=RETRIEVAL, harmless=(False,)),
    key(
        "few_shot_examples",
        BLOCKS,
        "classified examples for the model",
        None,
        key("input", TEXT, "the text", required=True),
        key("category", TEXT, "its class", required=True),
        key("reason", TEXT, "why", ""),
    ),
    key("temperature", NUMBER, "of the model", 0.3, minimum=0),
    key("max_tokens", INTEGER, "of the answer", 500, minimum=1),
)

AGGREGATOR_KEYS = (
    key(
        "aggregation_strategy",
        TEXT,
        "how answers become one",
        "consensus",
        choices=(
            "consensus",
            "weighted",
            "semantic",
            "hierarchical",
            "rag_based",
            "voting_majority",
            "voting_unanimous",
            "voting_weighted",
            "voting_confidence",
        ),
    ),
    key("conflict_resolution", TEXT, "what to do when sources contradict each other", ""),
    key("deduplication_method", TEXT, "how repeated statements are found", ""),
    key("summarization_enabled", BOOLEAN, "summarise the result", False),
    key("max_input_sources", INTEGER, "sources to take, the first ones", minimum=1),
    key("timeout_ms", INTEGER, "time for one aggregation", 5000, minimum=1),
    key("semantic_similarity_threshold", NUMBER, "from it two texts say the same", 0.85, minimum=0),
    key("source_weights", BLOCK, "weight of each source"),
    key("consensus_threshold", NUMBER, "share of sources that make a consensus", 0.7, minimum=0),
    key("temperature", NUMBER, "of the model", 0.5, minimum=0),
    key("max_tokens", INTEGER, "of the answer", 1500, minimum=1),
)

PLANNER_KEYS = (
    key(
        "planning_strategy",
        TEXT,
        "how a plan is made",
        "chain_of_thought",
        choices=(
            "chain_of_thought",
            "tree_of_thought",
            "react_planning",
            "backward_chaining",
            "hierarchical_plan",
            "monte_carlo",
        ),
    ),
    key("max_steps", INTEGER, "of a plan", 20, minimum=1),
    key("step_detail_level", TEXT, "how fine a step is", "detailed"),
    key("enable_backtracking", BOOLEAN, "give up steps that fail", False),
    key("enable_self_critique", BOOLEAN, "review the plan once", False),
    key("reasoning_depth", INTEGER, "levels of reasoning", 3, minimum=1),
    key("parallelizable_steps", BOOLEAN, "mark steps that can run at once", False),
    key("include_alternatives", BOOLEAN, "add other plans", False),
    key("max_tasks", INTEGER, "of a plan", minimum=1),
    key("enable_replanning", BOOLEAN, "plan again after a failure", False),
    key("task_timeout_ms", INTEGER, "time for one task", minimum=1),
    key("temperature", NUMBER, "of the model", 0.7, minimum=0),
    key("max_tokens", INTEGER, "of the answer", 2000, minimum=1),
    key(
        "example_plans",
        BLOCKS,
        "plans for the model to follow",
        None,
        key("problem", TEXT, "the problem"),
        key("steps", TEXTS, "the steps"),
        key("explanation", TEXT, "why"),
    ),
)

TOOL_KEYS = (
    key("name", TEXT, "the tool's name", required=True),
    key("description", TEXT, "what it does, for the model", ""),
    key("input_schema", BLOCK, "JSON Schema of its arguments"),
    key("code", TEXT, "the function: ./file.py:name or package.module:name"),
)

AGENT_KEYS = (
    key("name", TEXT, "what the agent is called; unique in the file", required=True),
    key("role", TEXT, "what kind of agent it is"),
    key("type", TEXT, "another word for role"),
    key("code", TEXT, "the agent, or what makes it: ./file.py:name or package.module:name"),
    key("description", TEXT, "what it does, in a line", ""),
    key("interval", DURATION, "time between two messages of a producer", 0),
    key("listen", TEXT, "address `serve --agent` listens on", ""),
    key(
        "inputs",
        BLOCKS,
        "whose replies it receives",
        None,
        key("source", TEXT, "an agent; any other name receives the run's input", required=True),
        key("type", TEXT, "what kind of message it is, for readers"),
    ),
    key(
        "outputs",
        BLOCKS,
        "who receives its replies",
        None,
        key("target", TEXT, "an agent; any other name is an exit of the flow", required=True),
        key("addr", TEXT, "where that agent is served, if elsewhere"),
        key("type", TEXT, "what kind of message it is, for readers"),
    ),
    key("depends_on", TEXTS, "agents that must be ready before it starts"),
    key("model", TEXT, "the model, or the name of a model service"),
    key("provider", TEXT, "whose model it is"),
    key("prompt", TEXT, "what the model is told about its task"),
    key("temperature", NUMBER, "of the model", minimum=0),
    key("max_tokens", INTEGER, "of an answer", minimum=1),
    key("output_schema", BLOCK, "JSON Schema of an answer"),
    key("tools", BLOCKS, "what the model may call", None, *TOOL_KEYS, needs=TOOLS),
    key("mcp_servers", TEXTS, "servers whose tools it may call", needs=MCP),
    key(
        "guided_config",
        BLOCK,
        "guided generation",
        None,
        key("enabled", BOOLEAN, "use it", False),
        key("max_iterations", INTEGER, "rounds; below 1 means 5", 5),
        key("verification_prompt", TEXT, "how an answer is verified", ""),
        key("require_confirmation", BOOLEAN, "ask before the answer is given", False),
        needs=GUIDED,
    ),
    key("classifier_config", BLOCK, "of a classifier", None, *CLASSIFIER_KEYS),
    key("aggregator_config", BLOCK, "of an aggregator", None, *AGGREGATOR_KEYS),
    key("planner_config", BLOCK, "of a planner", None, *PLANNER_KEYS),
    key("categories", BLOCKS, "of a classifier", None, *CATEGORY_KEYS),
    key(
        "session_mode",
        TEXT,
        "how it remembers",
        "enabled",
        choices=("enabled", "lightweight", "disabled"),
        needs=SESSIONS,
        harmless=("disabled",),
    ),
    key("session", BLOCK, "its own session settings", needs=SESSIONS),
    key("transfers", TEXTS, "agents it may hand over to", needs=HANDOFFS),
    key("vector_store", ANY, "where it searches", needs=RETRIEVAL),
    key("collection", TEXT, "what it searches", needs=RETRIEVAL),
    key("embedding_model", TEXT, "how it compares", needs=RETRIEVAL),
)

LIMIT_KEYS = (
    key("max_agents", INTEGER, "agents below it", 100, minimum=1),
    key("max_depth", INTEGER, "levels of calls below it", 10, minimum=1),
    key("max_iterations", INTEGER, "rounds of a loop", 10, minimum=1),
    key("timeout", DURATION, "time for the whole of it", 300),
    key("max_tokens", INTEGER, "tokens for the whole of it", 100_000, minimum=1),
)

ORCHESTRATION_KEYS = (
    key("name", TEXT, "what it is called; defaults to its pattern", ""),
    key("pattern", TEXT, "how the agents work together", required=True),
    key("agents", Kind.SLOTS, "the agents, in order"),
    key("config", BLOCK, "the pattern's own settings"),
    key("limits", BLOCK, "bounds of one run", None, *LIMIT_KEYS),
    key("description", TEXT, "what it does, in a line", ""),
)

# What `config:` of an orchestration may hold, by pattern, besides the pattern's own `config_keys`.
PATTERN_KEYS: dict[str, tuple[Key, ...]] = {
    "supervisor": (
        key("model", TEXT, "the model that picks"),
        key("max_rounds", INTEGER, "calls it may make", 10),
        key(
            "routing_strategy",
            TEXT,
            "how it picks",
            "best_match",
            choices=("best_match", "round_robin", "manual"),
        ),
    ),
    "parallel": (
        key("timeout", DURATION, "time for one agent"),
        key("aggregation", ANY, "how the answers become one"),
        key("aggregator", Kind.SLOT, "the agent that makes one of the answers"),
    ),
    "router": (
        key("classifier", Kind.SLOT, "the agent that names the category"),
        key("fallback", Kind.SLOT, "the agent for every other category"),
        key("routes", Kind.SLOT_MAP, "the agent of each category"),
    ),
    "swarm": (
        key("max_handoffs", INTEGER, "how often it may change hands", 10),
        key("shared_state", ANY, "what all of them know"),
    ),
    "hierarchical": (
        key("manager", Kind.SLOT, "the agent that gives out the work"),
        key("teams", BLOCK, "name of a team: manager and workers"),
    ),
    "rag": (
        key("retriever", Kind.SLOT, "the agent that finds"),
        key("generator", Kind.SLOT, "the agent that answers"),
        key("top_k", INTEGER, "documents to find", 5, minimum=1),
        key("rerank", ANY, "sort what was found again"),
    ),
    "reflection": (
        key("generator", Kind.SLOT, "the agent that writes"),
        key("critic", Kind.SLOT, "the agent that judges"),
        key("max_iterations", INTEGER, "rounds", 3, minimum=1),
        key("quality_threshold", NUMBER, "a score that ends it", minimum=0),
    ),
    "ensemble": (
        key("voting_strategy", TEXT, "how the answers become one"),
        key("models", TEXTS, "the models that answer"),
        key("threshold", NUMBER, "agreement that is enough", 0.5, minimum=0),
    ),
}

DEPLOYMENT_KEYS = (
    key(
        "mode",
        TEXT,
        "where agents run: here, or each in its own process",
        "local",
        choices=("local", "distributed"),
    ),
    key("peers", Kind.ADDRESSES, "agents served elsewhere, and where"),
    key("listen", TEXT, "address `serve` listens on", ""),
    key("tls", ANY, "encrypt connections", needs=TLS, harmless=(False, None)),
    key("auth", ANY, "who may call", needs=AUTH, harmless=(False, None)),
)

MODEL_SERVICE_KEYS = (
    key("name", TEXT, "what agents call it", required=True),
    key("provider", TEXT, "whose API it speaks"),
    key("model", TEXT, "the model it serves"),
    key("runtime", TEXT, "what runs it", choices=("ollama", "vllm", "cloud")),
    key("transport", TEXT, "how it is reached"),
    key("address", TEXT, "where it is reached"),
    key(
        "config",
        BLOCK,
        "settings of the service",
        None,
        key("address", TEXT, "where it is reached"),
        key("api_key", TEXT, "its key"),
        key("token", TEXT, "its token"),
        key("endpoint", TEXT, "where it is reached"),
        key("variant", TEXT, "which client is used"),
        key("quantization", TEXT, "how the model is stored"),
    ),
)

SECURITY_KEYS = (
    key(
        "environment",
        TEXT,
        "what the defaults are made for",
        needs=AUTH,
        harmless=("development",),
    ),
    key(
        "auth_mode",
        TEXT,
        "who checks identities",
        choices=("disabled", "delegated", "builtin", "hybrid"),
        needs=AUTH,
        harmless=("disabled",),
    ),
    key("delegated_auth", BLOCK, "identities checked in front of us", needs=AUTH),
    key(
        "builtin_auth",
        BLOCK,
        "identities checked by us",
        None,
        key("method", TEXT, "what proves an identity", "api_key"),
        key(
            "api_keys",
            BLOCK,
            "where keys are",
            None,
            key("source", TEXT, "environment or file", choices=("environment", "file")),
            key("file_path", TEXT, "the file"),
            key("env_prefix", TEXT, "of the variables", "AIXGO_API_KEY_"),
        ),
        needs=AUTH,
    ),
    key(
        "authorization",
        BLOCK,
        "who may do what",
        None,
        key("enabled", BOOLEAN, "check permissions", False),
        key("default_deny", BOOLEAN, "forbid what no rule allows", False),
        key("policy_file", TEXT, "more rules"),
        needs=AUTHORIZATION,
        harmless=({"enabled": False},),
    ),
    key(
        "audit",
        BLOCK,
        "what was done by whom",
        None,
        key("enabled", BOOLEAN, "write it", False),
        key("backend", TEXT, "where to", choices=("memory", "json", "syslog")),
        key("log_auth_decisions", BOOLEAN, "decisions too", False),
        key("siem", BLOCK, "other systems it is sent to"),
        key("batch_size", INTEGER, "entries sent at once", 100),
        key("flush_interval", DURATION, "time between two deliveries", 5),
        needs=AUDIT,
        harmless=({"enabled": False},),
    ),
    key("security", BLOCK, "the same, in one block", needs=AUTH),
    key("rate_limiting", BLOCK, "how often one may call", needs=RATE_LIMITS),
)

ROOT_KEYS = (
    key("agents", BLOCKS, "the agents", None, *AGENT_KEYS),
    key(
        "orchestration",
        Kind.ONE_OR_MORE,
        "how agents work together; the first is the entry",
        None,
        *ORCHESTRATION_KEYS,
    ),
    key(
        "supervisor",
        BLOCK,
        "an agent that picks one of the agents for each input",
        None,
        key("name", TEXT, "what it is called", "supervisor"),
        key("model", TEXT, "the model that picks"),
        key("max_rounds", INTEGER, "calls it may make; below 1 means 10", 10),
        key(
            "routing_strategy",
            TEXT,
            "how it picks",
            "best_match",
            choices=("best_match", "round_robin", "manual"),
        ),
    ),
    key("deployment", BLOCK, "where the agents run", None, *DEPLOYMENT_KEYS),
    key("default_model", TEXT, "of agents that name none"),
    key("model_services", BLOCKS, "models under names of their own", None, *MODEL_SERVICE_KEYS),
    key(
        "mcp_servers",
        BLOCKS,
        "servers of tools",
        None,
        key("name", TEXT, "what agents call it", required=True),
        key("transport", TEXT, "how it is reached", choices=("local", "grpc")),
        key("address", TEXT, "where it is reached"),
        key("tls", BOOLEAN, "encrypt", False),
        key(
            "auth",
            BLOCK,
            "who we are",
            None,
            key("type", TEXT, "what proves it", choices=("bearer", "oauth")),
            key("token", TEXT, "the token"),
            key("token_env", TEXT, "the variable that holds it"),
        ),
        needs=MCP,
    ),
    key(
        "session",
        BLOCK,
        "what is remembered between runs",
        None,
        key("enabled", BOOLEAN, "remember", False),
        key("store", TEXT, "where", "file"),
        key("base_dir", TEXT, "the folder", "~/.aixgo/sessions"),
        key(
            "checkpoint",
            BLOCK,
            "saved states",
            None,
            key("auto_save", BOOLEAN, "save by itself", False),
            key("interval", DURATION, "time between two", "5m"),
        ),
        needs=SESSIONS,
        harmless=({"enabled": False},),
    ),
    key(
        "embeddings",
        BLOCK,
        "how texts are compared",
        None,
        key("provider", TEXT, "whose model"),
        key("openai", BLOCK, "settings"),
        key("huggingface", BLOCK, "settings"),
        key("huggingface_tei", BLOCK, "settings"),
        needs=RETRIEVAL,
    ),
    key(
        "vectorstore",
        BLOCK,
        "where texts are found",
        None,
        key("provider", TEXT, "which store"),
        key("embedding_dimensions", INTEGER, "of the model", minimum=1),
        key("default_top_k", INTEGER, "texts to find", 5, minimum=1),
        key("default_distance_metric", TEXT, "how near is measured", "cosine"),
        key("firestore", BLOCK, "settings"),
        needs=RETRIEVAL,
    ),
    key("observability", BLOCK, "what is measured", needs=OBSERVABILITY),
    key("logging", BLOCK, "what is logged", needs=OBSERVABILITY),
    key("server", BLOCK, "ports", needs=SERVER),
    key("runtime", BLOCK, "queues and bounds", needs=TUNING),
    *SECURITY_KEYS,
    *(
        key(name, kind, about, needs=SETTINGS)
        for name, kind, about in (
            ("openai_key", TEXT, "a vendor's key; use the environment"),
            ("anthropic_key", TEXT, "a vendor's key; use the environment"),
            ("huggingface_key", TEXT, "a vendor's key; use the environment"),
            ("gcp_project", TEXT, "a cloud project"),
            ("gcp_credentials", TEXT, "a cloud project's credentials"),
            ("embedding_model", TEXT, "how texts are compared"),
            ("max_tokens", INTEGER, "of every answer"),
            ("temperature", NUMBER, "of every model"),
            ("vector_provider", TEXT, "which store"),
            ("vector_config", BLOCK, "its settings"),
        )
    ),
)
