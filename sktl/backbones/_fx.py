"""Cut a module at the points of its graph where a single tensor flows."""

import re
from collections.abc import Iterable
from typing import Any

from torch import Tensor, fx, nn

__all__ = ["CannotCut", "cut_graph"]


class CannotCut(Exception):
    """Why a module has no graph that can be cut."""


class _Root(nn.Module):
    """Calls a module with one tensor, so that its other arguments keep their defaults."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, values: Tensor) -> Tensor:
        return self.module(values)


class _Tracer(fx.Tracer):
    """Keeps `whole` modules whole; with `shallow`, every child of the traced module."""

    def __init__(self, whole: Iterable[nn.Module], shallow: bool) -> None:
        super().__init__()
        self.whole = {id(module) for module in whole}
        self.shallow = shallow

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        if module_qualified_name == "module":
            return False
        if self.shallow or id(m) in self.whole:
            return True
        return super().is_leaf_module(m, module_qualified_name)


class _Shapes(fx.Interpreter):
    """Runs a graph and notes which nodes are tensors with one entry per row."""

    def __init__(self, root: fx.GraphModule, n_rows: int) -> None:
        super().__init__(root)
        self.n_rows = n_rows
        self.per_row: set[fx.Node] = set()

    def run_node(self, n: fx.Node) -> Any:
        value = super().run_node(n)
        if isinstance(value, Tensor) and value.ndim > 0 and len(value) == self.n_rows:
            self.per_row.add(n)
        return value


def cut_graph(
    module: nn.Module, rows: Tensor, ends: Iterable[nn.Module] = ()
) -> list[fx.GraphModule]:
    """Segments that, run in order, compute what `module` computes.

    Parameters
    ----------
    module : nn.Module
        In eval mode, and left in it.
    rows : Tensor of shape (n, ...)
        Example input, n >= 3.
    ends : iterable of nn.Module, default=()
        Cut after each of these but the last; without any, wherever a segment then holds a
        weight matrix.

    Raises
    ------
    CannotCut
        When the module cannot be traced, when its forward asks whether it is in training,
        or when more than one tensor flows where it should be cut.
    """
    ends = list(ends)
    traced = fx.GraphModule(_Root(module), _trace(module, ends))
    traced.graph.eliminate_dead_code()
    per_row = _per_row_nodes(traced, rows)
    nodes = list(traced.graph.nodes)
    constant = _constant_nodes(nodes)
    flow = [
        (position, node)
        for node, position in _single_flow(nodes, constant).items()
        if node in per_row and node is not nodes[-1].args[0]
    ]
    if not ends:
        segments = _segments(module, nodes, constant, flow)
        return _join_weightless(module, nodes, constant, flow, segments)
    cuts = [(position, node) for position, node in flow if _calls(node, traced, ends[:-1])]
    if len(cuts) != len(ends) - 1:
        raise CannotCut("no single tensor flows from each of its `blocks` to the next")
    return _segments(module, nodes, constant, cuts)


def _trace(module: nn.Module, whole: list[nn.Module]) -> fx.Graph:
    """Graph of the module, finer if it can be; the same in training and in eval mode."""
    reasons = []
    for shallow in (False, True):
        try:
            graphs = []
            for training in (True, False):
                module.train(training)
                graphs.append(_Tracer(whole, shallow).trace(_Root(module)))
        except Exception as error:
            reasons.append(re.split(r"\n|\. ", str(error))[0])
            continue
        finally:
            module.eval()
        codes = {graph.python_code("self").src for graph in graphs}
        if len(codes) == 1:
            return graphs[0]
        reasons.append("its forward reads self.training")
    raise CannotCut(f"its forward cannot be traced ({reasons[0]})")


def _per_row_nodes(traced: fx.GraphModule, rows: Tensor) -> set[fx.Node]:
    found = []
    for n_rows in (len(rows), len(rows) - 1):
        shapes = _Shapes(traced, n_rows)
        shapes.run(rows[:n_rows].clone())
        found.append(shapes.per_row)
    return found[0] & found[1]


def _constant_nodes(nodes: list[fx.Node]) -> set[fx.Node]:
    """Nodes that do not depend on the input: recomputed wherever they are used."""
    constant: set[fx.Node] = set()
    for node in nodes:
        if node.op not in ("placeholder", "output") and all(
            source in constant for source in node.all_input_nodes
        ):
            constant.add(node)
    return constant


def _single_flow(nodes: list[fx.Node], constant: set[fx.Node]) -> dict[fx.Node, int]:
    """Values that are all that is needed after a position, with that position."""
    order = {node: position for position, node in enumerate(nodes)}
    flow = {}
    live: set[fx.Node] = set()
    for position, node in enumerate(nodes):
        if node not in constant:
            live.add(node)
        live = {value for value in live if any(order[user] > position for user in value.users)}
        if len(live) == 1 and node.op not in ("placeholder", "output") and node not in constant:
            (value,) = live
            flow[value] = position
    return flow


def _calls(node: fx.Node, traced: fx.GraphModule, modules: list[nn.Module]) -> bool:
    if node.op != "call_module":
        return False
    called = traced.get_submodule(str(node.target))
    return any(called is module for module in modules)


def _segments(
    module: nn.Module,
    nodes: list[fx.Node],
    constant: set[fx.Node],
    cuts: list[tuple[int, fx.Node]],
) -> list[fx.GraphModule]:
    source, output = nodes[0], nodes[-1].args[0]
    if not isinstance(output, fx.Node):
        raise CannotCut("it does not return one tensor")
    bounds = [*cuts, (len(nodes) - 1, output)]
    segments = []
    start = 1
    for position, value in bounds:
        body = [node for node in nodes[start : position + 1] if node.op != "output"]
        segments.append(_segment(module, source, body, value, constant))
        start, source = position + 1, value
    return segments


def _segment(
    module: nn.Module,
    source: fx.Node,
    body: list[fx.Node],
    value: fx.Node,
    constant: set[fx.Node],
) -> fx.GraphModule:
    """Make a module of the nodes `body`, from `source` to `value`."""
    graph = fx.Graph()
    copies = {source: graph.placeholder("values")}

    def copy(node: fx.Node) -> fx.Node:
        if node not in copies:
            if node not in constant and node not in body:
                raise CannotCut(f"{node} is used across a cut")
            made = graph.node_copy(node, copy)
            if node.op in ("call_module", "get_attr"):
                made.target = str(node.target).removeprefix("module.")
            copies[node] = made
        return copies[node]

    for node in body:
        if node not in constant:
            copy(node)
    graph.output(copy(value))
    return fx.GraphModule(module, graph)


def _join_weightless(
    module: nn.Module,
    nodes: list[fx.Node],
    constant: set[fx.Node],
    cuts: list[tuple[int, fx.Node]],
    segments: list[fx.GraphModule],
) -> list[fx.GraphModule]:
    """Cut again, but only where what follows holds a weight matrix (a layer, not a norm)."""
    heavy = [any(p.ndim > 1 for p in segment.parameters()) for segment in segments]
    if True not in heavy:
        return _segments(module, nodes, constant, [])
    first = heavy.index(True)
    kept = [cut for i, cut in enumerate(cuts[: len(segments) - 1]) if i >= first and heavy[i + 1]]
    return _segments(module, nodes, constant, kept)
