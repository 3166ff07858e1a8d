"""Lengths of time as people write them: `800ms`, `1m30s`, `2h`, or a number of seconds.

Below: errors. Above: config and the command line.
"""

from __future__ import annotations

import math
import re

from aixgo.errors import ConfigError

__all__ = ["seconds"]

_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?|\.[0-9]+)(ns|us|µs|ms|s|m|h)")
_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


def seconds(value: object) -> float:
    """The length of time `value` means, in seconds.

    Raises:
        ConfigError: it is no length of time, or a negative one.
    """
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        if not 0 <= value < math.inf:
            raise ConfigError(f"{value!r} is no length of time; it must be 0 or more seconds")
        return float(value)
    if isinstance(value, str):
        text = value.strip()
        parts = _PART.findall(text)
        if parts and "".join(number + unit for number, unit in parts) == text:
            return sum(float(number) * _UNITS[unit] for number, unit in parts)
        if re.fullmatch(r"[0-9]+(\.[0-9]+)?", text):
            return float(text)
    raise ConfigError(f"{value!r} is no length of time; write 800ms, 30s, 1m30s, 2h, or seconds")
