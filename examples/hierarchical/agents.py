"""A review of Python code: two managers that decide who looks at what, and four reviewers that read its syntax tree."""

from __future__ import annotations

import ast
from typing import TypedDict

from aixgo import AgentRefused, agent
from aixgo.message import JSONValue

LONG = 12  # lines of a function that fits a screen
DEEP = 3  # blocks within blocks that one can still follow
RISKY = {"eval", "exec", "compile", "__import__"}


class Asked(TypedDict, total=False):
    task: str
    teams: list[str]
    results: dict[str, JSONValue]


@agent
def editor(asked: Asked) -> JSONValue:
    """Both teams for code with functions, only safety for a script; the findings, most urgent team first."""
    if "results" in asked:
        lines = [
            f"{team}: {finding}"
            for team in ("safety", "structure")
            for finding in flat(asked["results"].get(team))
        ]
        return "\n".join(lines) or "Nothing to say against it."
    wanted = ["structure", "safety"] if functions(asked["task"]) else ["safety"]
    return {"team_assignments": dict.fromkeys(wanted, asked["task"])}


@agent
def guard(asked: Asked) -> JSONValue:
    """Whoever has something to look at: calls for `inputs`, handlers for `errors`."""
    if "results" in asked:
        return [finding for said in asked["results"].values() for finding in flat(said)]
    nodes = list(ast.walk(parsed(asked["task"])))
    wanted = {
        "inputs": any(isinstance(node, ast.Call) for node in nodes),
        "errors": any(isinstance(node, ast.Try) for node in nodes),
    }
    return {"team_assignments": {who: asked["task"] for who, needed in wanted.items() if needed}}


@agent
def sizes(code: str) -> list[str]:
    """Functions longer than a screen."""
    found = []
    for function in functions(code):
        lines = (function.end_lineno or function.lineno) - function.lineno + 1
        if lines > LONG:
            found.append(f"line {function.lineno}: {function.name} has {lines} lines")
    return found


@agent
def nesting(code: str) -> list[str]:
    """Functions whose blocks lie too deep."""
    return [
        f"line {function.lineno}: {function.name} nests {depth(function)} deep"
        for function in functions(code)
        if depth(function) > DEEP
    ]


@agent
def inputs(code: str) -> list[str]:
    """Calls that run text as code."""
    return [
        f"line {node.lineno}: {node.func.id} runs whatever it is given"
        for node in ast.walk(parsed(code))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in RISKY
    ]


@agent
def errors(code: str) -> list[str]:
    """Handlers that catch everything, and say nothing."""
    found = []
    for node in ast.walk(parsed(code)):
        if isinstance(node, ast.ExceptHandler):
            silent = all(isinstance(line, ast.Pass) for line in node.body)
            if node.type is None or silent:
                found.append(f"line {node.lineno}: an error is {'lost' if silent else 'not named'}")
    return found


def parsed(code: str) -> ast.Module:
    try:
        return ast.parse(code)
    except SyntaxError as exc:
        raise AgentRefused(f"this is no Python: line {exc.lineno}: {exc.msg}") from exc


def functions(code: str) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return [node for node in ast.walk(parsed(code)) if isinstance(node, kinds)]


def depth(node: ast.AST) -> int:
    """How many blocks lie within each other."""
    block = isinstance(node, (ast.For, ast.While, ast.If, ast.With, ast.Try))
    return block + max((depth(child) for child in ast.iter_child_nodes(node)), default=0)


def flat(said: JSONValue) -> list[str]:
    """The findings of a team, in the order they were given."""
    if isinstance(said, dict):
        return [finding for part in said.values() for finding in flat(part)]
    return [str(finding) for finding in said] if isinstance(said, list) else []
