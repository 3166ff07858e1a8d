"""The fixtures that tests of users can ask for."""

from aixgo import agent
from aixgo.testing.fixtures import ServeAgents, serve_agents

__all__ = ["serve_agents"]


@agent
async def upper(text: str) -> str:
    return text.upper()


async def test_a_fixture_serves_agents_over_the_wire(serve_agents: ServeAgents) -> None:
    rt = await serve_agents(upper)
    assert (await rt.call("upper", "hello", timeout=5)).text == "HELLO"
    assert rt.get_agent("upper") is not upper
