"""`python -m aixgo`: the command line."""

from __future__ import annotations

from aixgo.cli import main

main()
