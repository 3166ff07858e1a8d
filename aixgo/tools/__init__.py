"""Tools a model may call: `@tool` makes one of a function, `Toolbox` runs what a model asks for."""

from __future__ import annotations

from aixgo.tools.base import ArgumentsInvalid, FunctionTool, Tool, as_tool, tool
from aixgo.tools.executor import Toolbox, ToolResult

__all__ = ["ArgumentsInvalid", "FunctionTool", "Tool", "ToolResult", "Toolbox", "as_tool", "tool"]
