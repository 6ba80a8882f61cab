"""The modules that mypyc may compile keep to what it compiles rightly: CONTRIBUTING.md says why."""

import ast
import builtins
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


def _modules() -> list[str]:
    document = tomllib.loads((ROOT / "pyproject.toml").read_text())
    hooks = document["tool"]["hatch"]["build"]["targets"]["wheel"]["hooks"]
    return list(hooks["custom"]["modules"])


def _waits(nodes: list[ast.stmt] | list[ast.ExceptHandler]) -> Iterator[int]:
    """The lines in which these statements wait."""
    for statement in nodes:
        for node in ast.walk(statement):
            if isinstance(node, ast.Await | ast.AsyncWith | ast.AsyncFor | ast.Yield):
                yield getattr(node, "lineno", 0)


@pytest.mark.parametrize("module", _modules())
def test_a_compiled_module_keeps_to_what_is_compiled_rightly(module: str) -> None:
    """No wait while an exception is handled, no call within a slice, no slice whose end is counted
    from the end though its start is not, no generator that is async.
    """
    wrong: list[str] = []
    for node in ast.walk(ast.parse((ROOT / module).read_text())):
        if isinstance(node, ast.Try):
            lines = [*_waits(node.handlers), *_waits(node.finalbody)]
            wrong += [f"line {line}: awaits in `except` or `finally`" for line in lines]
        elif isinstance(node, ast.Slice):
            if any(isinstance(inner, ast.Call) for inner in ast.walk(node)) and not _pure(node):
                wrong.append(f"line {node.lower and node.lower.lineno}: a call within a slice")
            if node.lower is not None and isinstance(node.upper, ast.UnaryOp):
                wrong.append(f"line {node.lower.lineno}: a slice that may end before it starts")
        elif isinstance(node, ast.AsyncFunctionDef) and any(
            isinstance(inner, ast.Yield) for inner in ast.walk(node)
        ):
            wrong.append(f"line {node.lineno}: an async generator")
    assert not wrong


def test_compiled_classes_inherit_from_compiled_ones_only() -> None:
    """Or from what has neither attributes nor weak references of its own, exceptions aside."""
    trees = {module: ast.parse((ROOT / module).read_text()) for module in _modules()}
    classes = [
        (module, node)
        for module, tree in trees.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
    ]
    known = {node.name for _, node in classes}
    known |= {"Protocol", "NamedTuple", "Generic", "asyncio.BufferedProtocol"}
    known |= {name for name, kind in vars(builtins).items() if _is_exception(kind)}
    wrong = [
        f"{module}: {node.name}({base})"
        for module, node in classes
        for base in (ast.unparse(base).partition("[")[0] for base in node.bases)
        if base not in known
    ]
    assert not wrong


def _is_exception(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseException)


def _pure(node: ast.Slice) -> bool:
    """Whether it only asks for lengths and positions, which may be asked for twice."""
    calls = [inner.func for inner in ast.walk(node) if isinstance(inner, ast.Call)]
    names = {call.id if isinstance(call, ast.Name) else getattr(call, "attr", "") for call in calls}
    return names <= {"len", "end", "start"}
