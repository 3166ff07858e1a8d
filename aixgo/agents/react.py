"""ReActAgent: reasons, acts with its tools, looks at what came of it, and reasons again."""

from __future__ import annotations

from aixgo.agents._turn import Answer, Step
from aixgo.agents.chat import ChatAgent
from aixgo.message import JSONValue
from aixgo.tools import Toolbox

__all__ = ["AGENT", "ReActAgent"]

MAX_OBSERVATION = 500  # characters of a result, as the reply's steps show it

INSTRUCTIONS = (
    "Work in steps. Before each step say in a sentence what you know and what you need next. When a tool can "
    "find it out or do it, call the tool instead of guessing; call several at once when they do not depend on "
    "each other. Look at each result before you go on; when a tool fails, mend the arguments or try another "
    "way. Answer as soon as you know enough, with the answer only."
)


class ReActAgent(ChatAgent):
    """A ChatAgent that is told to reason between its actions, and whose reply shows the steps it took.

    Metadata has `steps`, one per round: `thought` is what the model said before it acted, `actions` are the
    tools it called, each with `tool`, `arguments`, `observation` (at most 500 characters) and `ok`. Without
    tools it answers like a ChatAgent.
    """

    role = "react"

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
