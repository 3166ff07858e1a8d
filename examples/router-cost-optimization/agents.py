"""A cheap agent that can add two numbers, a dear one that can do any sum, and one that tells which is needed."""

import ast
import operator
import re

from aixgo import AgentRefused, CallContext, Usage, agent

EASY = re.compile(r"\s*(-?\d+)\s*([+*-])\s*(-?\d+)\s*")
SUM = re.compile(r"[\d\s.+*/()-]+")
CHEAP, DEAR = 100_000, 4_000_000  # nano-dollars of a call
OPERATIONS = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}


@agent
def difficulty(text: str) -> dict[str, str | float]:
    """Easy is one operation on two whole numbers, hard any other sum; what is half words is neither for certain."""
    if EASY.fullmatch(text):
        return {"category": "easy", "confidence": 1.0}
    of_sums = sum(len(part) for part in SUM.findall(text)) / len(text) if text else 0.0
    return {"category": "hard", "confidence": round(of_sums, 2)}


@agent
def cheap(text: str, context: CallContext) -> str:
    """One operation on two whole numbers."""
    context.charge(Usage(cost_nanos=CHEAP, calls=1))
    found = EASY.fullmatch(text)
    if found is None:
        raise AgentRefused("that is too hard for me")
    left, right = int(found[1]), int(found[3])
    return str({"+": left + right, "-": left - right, "*": left * right}[found[2]])


@agent
def dear(text: str, context: CallContext) -> str:
    """Any sum."""
    context.charge(Usage(cost_nanos=DEAR, calls=1))
    try:
        return f"{value(ast.parse(text.strip(), mode='eval').body):g}"
    except (SyntaxError, ZeroDivisionError) as exc:
        raise AgentRefused(f"{text.strip()!r} has no value") from exc


def value(node: ast.expr) -> float:
    """What a sum comes to."""
    if isinstance(node, ast.BinOp) and type(node.op) in OPERATIONS:
        return OPERATIONS[type(node.op)](value(node.left), value(node.right))
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return -value(node.operand)
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        return node.value
    raise AgentRefused("only + - * / and brackets are known")


@agent
def person(text: str) -> str:
    """Whatever is no sum."""
    return f"A person will look at: {text.strip()}"
