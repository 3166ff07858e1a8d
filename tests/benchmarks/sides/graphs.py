"""What the patterns' sides do, whoever does it: the payloads, how many echoes there are, and the right result.

Only the standard library is imported here: langgraph's side reads it in an environment of its own.
"""

AGENTS = 100  # side by side, or in a row
CHUNKS = 1_000  # of one message, all for the same agent
SIZE = 200  # bytes of a message, or of a chunk

TEXT = "x" * SIZE
LINES = "\n".join(f"{i:>{SIZE}}" for i in range(CHUNKS))

NAMES = [f"echo{i}" for i in range(AGENTS)]

EXPECTED = {
    "parallel": "\n\n".join([TEXT] * AGENTS),
    "sequential": TEXT,
    "mapreduce": LINES,
}
"""What comes of each."""

CALLS = {"parallel": AGENTS, "sequential": AGENTS, "mapreduce": CHUNKS}
"""How many agents' calls each makes."""
