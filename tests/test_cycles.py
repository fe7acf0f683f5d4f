"""No module of ours needs itself: the imports at the top of files, those for type checkers too, have no circle."""

from __future__ import annotations

from graphlib import CycleError, TopologicalSorter

from test_layers import OURS, ROOT, imports


def test_imports_have_no_circle() -> None:
    graph: dict[str, set[str]] = {}
    for package in OURS:
        for path in (ROOT / package).rglob("*.py"):
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
            graph[name] = {imported for _, imported in imports(path)}
    try:
        tuple(TopologicalSorter(graph).static_order())
    except CycleError as e:
        raise AssertionError(" -> ".join(e.args[1])) from None
