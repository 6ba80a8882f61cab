"""RFC 7396 and RFC 6902, as tables."""

from copy import deepcopy
from typing import Any

import pytest

from gateway.sandbox import patches
from gateway.sandbox.refusals import Refusal

MERGES: list[tuple[Any, Any, Any]] = [  # RFC 7396, appendix A
    ({"a": "b"}, {"a": "c"}, {"a": "c"}),
    ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
    ({"a": "b"}, {"a": None}, {}),
    ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
    ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
    ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
    ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
    ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
    (["a", "b"], ["c", "d"], ["c", "d"]),
    ({"a": "b"}, ["c"], ["c"]),
    ({"a": "foo"}, None, None),
    ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
    ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
    ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
]

PATCHES: list[tuple[Any, list[Any], Any]] = [  # after RFC 6902, appendix A
    ({"a": 1}, [{"op": "add", "path": "/b", "value": 2}], {"a": 1, "b": 2}),
    ({"a": [1, 3]}, [{"op": "add", "path": "/a/1", "value": 2}], {"a": [1, 2, 3]}),
    ({"a": [1]}, [{"op": "add", "path": "/a/-", "value": 2}], {"a": [1, 2]}),
    ({"a": 1, "b": 2}, [{"op": "remove", "path": "/b"}], {"a": 1}),
    ({"a": [1, 2, 3]}, [{"op": "remove", "path": "/a/1"}], {"a": [1, 3]}),
    ({"a": 1}, [{"op": "replace", "path": "/a", "value": 2}], {"a": 2}),
    ({"a": {"b": 1}}, [{"op": "move", "from": "/a/b", "path": "/c"}], {"a": {}, "c": 1}),
    ({"a": [1, 2]}, [{"op": "move", "from": "/a/0", "path": "/a/1"}], {"a": [2, 1]}),
    ({"a": {"b": 1}}, [{"op": "copy", "from": "/a", "path": "/c"}], {"a": {"b": 1}, "c": {"b": 1}}),
    ({"a/b": 1, "m~n": 2}, [{"op": "remove", "path": "/a~1b"}], {"m~n": 2}),
    ({"a/b": 1, "m~n": 2}, [{"op": "remove", "path": "/m~0n"}], {"a/b": 1}),
    ({"a": 1}, [{"op": "replace", "path": "", "value": {"b": 2}}], {"b": 2}),
    ({"a": 1}, [{"op": "test", "path": "/a", "value": 1}], {"a": 1}),
]

UNFIT: list[Any] = [
    {"op": "remove", "path": "/x"},
    {"op": "replace", "path": "/x", "value": 1},
    {"op": "add", "path": "/x/y", "value": 1},
    {"op": "add", "path": "/a/3", "value": 1},
    {"op": "add", "path": "/a/01", "value": 1},
    {"op": "replace", "path": "/a/-", "value": 1},
    {"op": "test", "path": "/s", "value": "no"},
    {"op": "add", "path": "/s/0", "value": "x"},
    {"op": "add", "path": "s", "value": "x"},
    {"op": "add", "path": "/s"},
    {"op": "spoil", "path": "/s"},
    {"path": "/s"},
    "remove",
]


@pytest.mark.parametrize(("target", "patch", "result"), MERGES)
def test_merge_patches(target: Any, patch: Any, result: Any) -> None:
    """Members are merged, null removes, anything else replaces; the target stays as it was."""
    before = deepcopy(target)
    assert patches.merge(target, patch) == result
    assert target == before


@pytest.mark.parametrize(("target", "patch", "result"), PATCHES)
def test_json_patches(target: Any, patch: list[Any], result: Any) -> None:
    """Each operation does what RFC 6902 says; the target stays as it was."""
    before = deepcopy(target)
    assert patches.apply(target, patch) == result
    assert target == before


@pytest.mark.parametrize("operation", UNFIT, ids=str)
def test_what_does_not_fit_changes_nothing(operation: Any) -> None:
    """One operation that cannot be done refuses the whole patch with 422."""
    target = {"a": [1, 2], "s": "text"}
    first = {"op": "replace", "path": "/s", "value": "other"}
    with pytest.raises(Refusal) as refused:
        patches.apply(target, [first, operation] if operation != UNFIT[6] else [operation])
    assert refused.value.status == 422
    assert target == {"a": [1, 2], "s": "text"}
