"""Runtimes: what delivers messages to names. `base` holds the engine and its contract."""
