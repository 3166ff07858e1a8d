"""The picture of a file: its entry as a Mermaid flowchart.

Below: build, and orchestration, which draws. Above: `aixgo validate --graph`.
"""

from __future__ import annotations

from aixgo.config.build import orchestrators
from aixgo.config.model import Config
from aixgo.errors import ConfigError
from aixgo.orchestration._graph import END, START, Chart, Drawn

__all__ = ["flowchart"]


def flowchart(config: Config) -> str:
    """How a run of the file goes: its first orchestration and all inside it, else its agents and their edges.

    No agent is built and no code of the file is loaded.

    Raises:
        ConfigError: an orchestration cannot be built.
    """
    chart = Chart(orchestrators(config), config.fallbacks)
    if not config.orchestrations:
        return _flow(config, chart)
    entry = config.orchestrations[0]
    drawn = chart.agent(entry.name)
    chart.link(chart.node(START.text, START.shape), drawn)
    for target in entry.outputs or (END.text,):
        known = target in config.names
        chart.link(drawn, chart.agent(target) if known else chart.node(target, END.shape))
    return chart.text()


def _flow(config: Config, chart: Chart) -> str:
    """Agents, what they are sent, and where their replies go."""
    drawn = {entry.name: chart.agent(entry.name) for entry in config.agents}
    ends: dict[str, Drawn] = {}

    def end(name: str) -> Drawn:
        if name not in ends:
            ends[name] = chart.node(name, "end")
        return ends[name]

    try:
        entries = config.entries()
    except ConfigError:  # none stands out: then a run says who may be chosen
        entries = ()
    for entry in config.agents:
        me = drawn[entry.name]
        for source in entry.inputs:
            if source not in drawn:
                chart.link(end(source), me)
        if entry.name in entries and not entry.inputs:
            chart.link(end(START.text), me)
        for target in entry.outputs:
            chart.link(me, drawn[target] if target in drawn else end(target))
        if entry.name in entries and not entry.outputs:
            chart.link(me, end(END.text))
    return chart.text()
