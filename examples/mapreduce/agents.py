"""Agents that read an access log: one measures a part of it, one tells what the numbers of all parts mean."""

import re
from collections import Counter

from aixgo import AgentRefused, agent

LINE = re.compile(r'^\S+ \[[^\]]*\] "[A-Z]+ (/[^/? "]*)[^"]*" (\d{3}) (\d+)ms$')
SLOW = 1000  # milliseconds
BAD = 0.05  # share of requests


@agent
def measure(lines: str) -> dict[str, dict[str, int]]:
    """Requests, failures and slow answers of each part of the site."""
    found = {"requests": Counter(), "failed": Counter(), "slow": Counter(), "unread": Counter()}
    for line in lines.splitlines():
        match = LINE.match(line)
        if match is None:
            found["unread"]["lines"] += 1
            continue
        place, status, took = match[1], int(match[2]), int(match[3])
        found["requests"][place] += 1
        found["failed"][place] += status >= 500
        found["slow"][place] += took > SLOW
    return {name: dict(counted) for name, counted in found.items()}


@agent
def report(totals: dict[str, dict[str, int]]) -> str:
    """The parts of the site with too many failures or slow answers, the worst first."""
    if not isinstance(totals, dict) or not totals["requests"]:
        raise AgentRefused("the log holds no requests")
    requests = totals["requests"]
    count = sum(requests.values())
    rows = [f"{count} requests, {totals['unread'].get('lines', 0)} lines unread"]
    shares = [
        (totals[what].get(place, 0) / seen, place, what)
        for place, seen in requests.items()
        for what in ("failed", "slow")
    ]
    for share, place, what in sorted(shares, key=lambda row: (-row[0], row[1:])):
        if share > BAD:
            rows.append(f"{place}: {share:.0%} {what} ({totals[what][place]} of {requests[place]})")
    return "\n".join(rows if len(rows) > 1 else [*rows, "nothing is wrong"])
