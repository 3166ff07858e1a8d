"""The agent everything here calls."""

from aixgo import Message, agent


@agent(role="echoes")
async def echo(message: Message) -> Message:
    return message
