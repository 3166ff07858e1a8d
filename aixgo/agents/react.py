"""ReActAgent: reasons, acts with its tools, looks at what came of it, and reasons again."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar, Self, TypedDict, Unpack, cast

from aixgo.agents._guided import GUIDED_KEYS, Guided, Verifier
from aixgo.agents._turn import Answer, Step, Turn
from aixgo.agents.base import own_keys
from aixgo.agents.chat import ChatAgent
from aixgo.errors import ConfigError
from aixgo.keys import Key
from aixgo.message import JSONValue
from aixgo.providers import ChatMessage, ModelMiddleware, Provider
from aixgo.tools import Tool, Toolbox

__all__ = ["AGENT", "ChatOptions", "ReActAgent"]

MAX_OBSERVATION = 500  # characters of a result, as the reply's steps show it

INSTRUCTIONS = (
    "Work in steps. Before each step say in a sentence what you know and what you need next. When a tool can "
    "find it out or do it, call the tool instead of guessing; call several at once when they do not depend on "
    "each other. Look at each result before you go on; when a tool fails, mend the arguments or try another "
    "way. Answer as soon as you know enough, with the answer only."
)


class ChatOptions(TypedDict, total=False):
    """What a ChatAgent may be given besides its name; see there."""

    model: str
    prompt: str
    temperature: float | None
    max_tokens: int | None
    tools: Sequence[Tool | Callable[..., object]]
    output: object
    output_schema: Mapping[str, JSONValue] | None
    tries: int
    max_rounds: int
    remember: bool
    max_history: int
    session_id: str
    description: str
    provider: Provider | None
    middleware: Sequence[ModelMiddleware]
    api_key: str
    base_url: str


class ReActAgent(ChatAgent):
    """A ChatAgent that is told to reason between its actions, and whose reply shows the steps it took.

    Metadata has `steps`, one per round: `thought` is what the model said before it acted, `actions` are the
    tools it called, each with `tool`, `arguments`, `observation` (at most 500 characters) and `ok`. Without
    tools it answers like a ChatAgent.

    With `guided`, another call of the model verifies each answer. One that is refused goes back with the reason, until
    `max_iterations` stops it: they take the place of `max_rounds`. Metadata then says `verified`, which is false for
    an answer without a model, and `verification`, the last reason. Such an answer is streamed as one, once verified.
    """

    role = "react"
    config_keys: ClassVar[Mapping[str, Key]] = {
        **ChatAgent.config_keys,
        "guided_config": Key(
            "mapping", "how a react agent verifies its answers", fields=GUIDED_KEYS
        ),
    }

    def __init__(
        self, name: str, *, guided: Guided | None = None, **options: Unpack[ChatOptions]
    ) -> None:
        super().__init__(name, **options)
        if not isinstance(guided, Guided | None):
            raise ConfigError(f"agent {name!r}: guided={guided!r}: give Guided(…)")
        self.guided = guided

    @classmethod
    def from_config(cls, name: str, entry: Mapping[str, object]) -> Self:
        """The agent of a YAML entry, whose tools are bound already."""
        made = super().from_config(name, {k: v for k, v in entry.items() if k != "guided_config"})
        settings = own_keys(cls.config_keys, entry, f"agent {name!r}").get("guided_config", {})
        made.guided = Guided.from_config(cast("Mapping[str, object]", settings))
        return made

    def _turn(self, messages: Sequence[ChatMessage], tools: Toolbox) -> Turn:
        turn = super()._turn(messages, tools)
        if self.guided is not None:
            task = next((turn.content for turn in reversed(messages) if turn.role == "user"), "")
            turn.verify = Verifier(self._use, self.guided.verification_prompt, task)
            turn.max_rounds = self.guided.iterations - 1  # the last one has to answer
        return turn

    def instructions(self, tools: Toolbox) -> str:
        """The rules of the role, then the agent's own prompt."""
        return "\n\n".join(filter(None, (INSTRUCTIONS if len(tools) else "", self.prompt)))

    def facts(self, answer: Answer) -> dict[str, JSONValue]:
        """The metadata of a reply, with the steps."""
        return {**answer.facts(), "steps": [_shown(step) for step in answer.steps]}


def _shown(step: Step) -> JSONValue:
    return {
        "thought": step.text,
        "actions": [
            {
                "tool": run.call.name,
                "arguments": run.call.arguments,
                "observation": run.result.text[:MAX_OBSERVATION],
                "ok": not run.result.is_error,
            }
            for run in step.runs
        ],
    }


AGENT = ReActAgent
