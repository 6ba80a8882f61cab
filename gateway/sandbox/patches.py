"""JSON Merge Patch (RFC 7396) and JSON Patch (RFC 6902). Pure: the target is left as it was."""

from copy import deepcopy
from typing import Any

from gateway.sandbox.refusals import Refusal, invalid_field


def merge(target: Any, patch: Any) -> Any:
    """The target with a merge patch applied (RFC 7396 2)."""
    if not isinstance(patch, dict):
        return deepcopy(patch)
    merged = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = merge(merged.get(name), value)
    return merged


def apply(target: Any, operations: list[Any]) -> Any:
    """The target with a JSON patch applied, all of it or none (RFC 6902 5). Raises a refusal."""
    root = {"": deepcopy(target)}
    for operation in operations:
        try:
            _apply_one(root, operation)
        except (LookupError, ValueError, TypeError, AttributeError):
            raise _unfit() from None
    return root.get("")


def _apply_one(root: Any, operation: Any) -> None:
    name, path = operation["op"], _steps(operation["path"])
    if name == "test":
        if _get(root, path) != operation["value"]:
            raise ValueError
    elif name == "remove":
        _remove(root, path)
    elif name == "add":
        _add(root, path, deepcopy(operation["value"]))
    elif name == "replace":
        _remove(root, path)
        _add(root, path, deepcopy(operation["value"]))
    elif name == "copy":
        _add(root, path, deepcopy(_get(root, _steps(operation["from"]))))
    elif name == "move":
        _add(root, path, _remove(root, _steps(operation["from"])))
    else:
        raise ValueError


def _steps(pointer: str) -> list[str]:
    """A JSON pointer (RFC 6901) from above the root, so that "" is the step to the whole."""
    if pointer and not pointer.startswith("/"):
        raise ValueError
    return [step.replace("~1", "/").replace("~0", "~") for step in pointer.split("/")]


def _index(steps: list[Any], step: str, highest: int) -> int:
    if step == "-":
        return len(steps)
    if not (step.isascii() and step.isdigit()) or (step[0] == "0" and step != "0"):
        raise ValueError
    if int(step) > highest:
        raise IndexError
    return int(step)


def _get(root: Any, path: list[str]) -> Any:
    value = root
    for step in path:
        value = value[_index(value, step, len(value) - 1) if isinstance(value, list) else step]
    return value


def _add(root: Any, path: list[str], value: Any) -> None:
    parent = _get(root, path[:-1])
    if isinstance(parent, list):
        parent.insert(_index(parent, path[-1], len(parent)), value)
    else:
        parent[path[-1]] = value


def _remove(root: Any, path: list[str]) -> Any:
    parent = _get(root, path[:-1])
    if isinstance(parent, list):
        return parent.pop(_index(parent, path[-1], len(parent) - 1))
    return parent.pop(path[-1])


def _unfit() -> Refusal:
    return invalid_field("data", "the patch does not fit the document")
