"""The echo agent as a service; argument: address."""

import asyncio
import sys

from aixgo import serve
from tests.benchmarks.sides.echo import echo

if __name__ == "__main__":
    asyncio.run(serve(echo, address=sys.argv[1]))
