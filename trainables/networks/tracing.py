"""The forward pass of a network as a graph of its parts, which can be cut into stages."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.fx._symbolic_trace import _maybe_revert_all_patches

from thaw.spaces.words import counted

BATCHES = (2, 3)
"""Batch sizes with which a network is traced. A number that is the same for both is a constant; one that differs
depends on the batch and stays part of the graph."""

VALUES = "values"
"""Metadata key of a node: its output for each of `BATCHES`, tensors on ``meta``."""

PLAIN = (int, bool, float, str, type(None))


class Symbol(fx.Proxy):
    """Output of a step while a forward pass is traced. Unlike fx's own proxies it knows its shape."""

    @property
    def shape(self) -> tuple[Any, ...]:
        one, other = (value.shape for value in self.node.meta[VALUES])
        return tuple(a if a == b else self.size(axis) for axis, (a, b) in enumerate(zip(one, other, strict=True)))

    @property
    def ndim(self) -> int:
        return self.node.meta[VALUES][0].ndim

    def __len__(self) -> int:
        return len(self.node.meta[VALUES][0])

    def __iter__(self) -> Iterator[Any]:
        return iter([operator.getitem(self, position) for position in range(len(self))])


class Tracer(fx.Tracer):
    """Traces one method of a network, without looking inside its parts.

    A part is a child of the network, or a child of such a child if that is an ``nn.Sequential``.

    Args:
        shadow: the same network on the device ``meta``, which gives the shapes of outputs.
        method: name of the method, such as ``forward_features``.
        inputs: the method's argument for each of :data:`BATCHES`, on ``meta``.
        options: other arguments of the method.
    """

    def __init__(self, shadow: nn.Module, method: str, inputs: tuple[Tensor, Tensor], options: dict[str, Any]) -> None:
        super().__init__()
        self.shadow, self.inputs, self.options = shadow, inputs, options
        self.traced_func_name = method

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        inner = type(m).forward is nn.Sequential.forward and "." not in module_qualified_name
        return not inner

    def proxy(self, node: fx.Node) -> Symbol:
        return Symbol(node, self)

    def create_args_for_root(
        self, root_fn: Callable[..., Any], is_module: bool, concrete_args: object = None
    ) -> tuple[Callable[..., Any], list[Any]]:
        images = self.create_proxy("placeholder", "features", (), {})
        return lambda root, features: root_fn(root, features, **self.options), [self.root, images]

    def create_proxy(self, kind: str, target: Any, args: Any, kwargs: Any, *rest: Any, **more: Any) -> Any:
        step = super().create_proxy(kind, target, args, kwargs, *rest, **more)
        if kind == "placeholder":
            step.node.meta[VALUES] = self.inputs
        else:
            with _maybe_revert_all_patches(), torch.no_grad():
                values = tuple(self._value(kind, target, args, kwargs, batch) for batch in range(len(BATCHES)))
            step.node.meta[VALUES] = values
            if _is_plain(values) and values[0] == values[1]:
                # A constant from here on; a step that nobody uses would only tie its neighbours together.
                step.node.graph.erase_node(step.node)
                return values[0]
        return step

    def _value(self, kind: str, target: Any, args: Any, kwargs: Any, batch: int) -> Any:
        def known(argument: Any) -> Any:
            if isinstance(argument, fx.Proxy):
                return argument.node.meta[VALUES][batch]
            return argument.to("meta") if isinstance(argument, Tensor) else argument

        positional, named = (_plain_lists(fx.node.map_aggregate(values, known)) for values in (args, kwargs))
        if kind == "call_module":
            return self.shadow.get_submodule(target)(*positional, **named)
        if kind == "get_attr":
            owner, _, name = target.rpartition(".")
            return getattr(self.shadow.get_submodule(owner), name)
        function = getattr(positional[0], target) if kind == "call_method" else target
        return function(*positional[kind == "call_method" :], **named)


def _plain_lists(values: Any) -> Any:
    """Arguments with plain lists: a forward pass may modify a list, which fx's own lists forbid."""
    if isinstance(values, dict):
        return {name: _plain_lists(value) for name, value in values.items()}
    if isinstance(values, list):
        return [_plain_lists(value) for value in values]
    return tuple(map(_plain_lists, values)) if type(values) is tuple else values


def _is_plain(values: Any) -> bool:
    if isinstance(values, tuple | list):
        return all(map(_is_plain, values))
    return isinstance(values, PLAIN)


def _is_batch_size(node: fx.Node) -> bool:
    return _is_plain(node.meta[VALUES]) and node.meta[VALUES] == BATCHES


class Trace:
    """A traced method, and where it can be cut.

    Args:
        network: the network to be cut.
        shadow: the same network on ``meta``.
        method, inputs, options: as for :class:`Tracer`.

    Attributes:
        steps: everything that depends on the input, in order; the first is the input itself.
        cuts: positions of the steps after which only one tensor is passed on; at most one between two parts.
    """

    def __init__(
        self, network: nn.Module, shadow: nn.Module, method: str, inputs: tuple[Tensor, Tensor], **options: Any
    ) -> None:
        self.network = network
        graph = Tracer(shadow, method, inputs, options).trace(network)
        steps: dict[fx.Node, int] = {}
        for node in graph.nodes:
            if node.op == "placeholder" or (node.op != "output" and any(a in steps for a in node.all_input_nodes)):
                steps[node] = len(steps)
        self.steps = list(steps)
        output = next(iter(reversed(graph.nodes))).args[0]
        if not isinstance(output, fx.Node):
            what = counted(len(output), "tensor") if isinstance(output, tuple | list) else type(output).__name__
            raise ValueError(f"its {method} returns {what}, not one")
        self.end = steps[output]
        last_use = {node: max((steps.get(user, len(steps)) for user in node.users), default=0) for node in steps}
        free = [
            position
            for position, node in enumerate(self.steps[: self.end])
            if position and isinstance(node.meta[VALUES][0], Tensor) and self._crossing(position, last_use) == [node]
        ]
        parts = [p for p, node in enumerate(self.steps) if node.op == "call_module"]
        spans = zip(parts, [*parts, self.end][1:], strict=True)
        first = (next((p for p in free if start <= p < stop), None) for start, stop in spans)
        self.cuts = [p for p in first if p is not None]

    def _crossing(self, position: int, last_use: dict[fx.Node, int]) -> list[fx.Node]:
        """Nodes that are used after a step, except the batch size, which every tensor knows."""
        crossing = [node for node in self.steps[: position + 1] if last_use[node] > position]
        return [node for node in crossing if not _is_batch_size(node)]

    def parts(self, start: int, stop: int) -> list[str]:
        """Names of the parts that run after step `start`, up to `stop`."""
        return [str(node.target) for node in self.steps[start + 1 : stop + 1] if node.op == "call_module"]

    def shape(self, position: int) -> tuple[int, ...]:
        """Output shape of a step for one image."""
        return tuple(self.steps[position].meta[VALUES][0].shape[1:])

    def pieces(self, cuts: Sequence[int]) -> list[nn.Module]:
        """The method as modules that run in sequence and share the network's weights."""
        bounds = [0, *cuts, self.end]
        return [self._piece(start, stop) for start, stop in pairwise(bounds)]

    def _piece(self, start: int, stop: int) -> nn.Module:
        inner = self.steps[start + 1 : stop + 1]
        chained = zip(self.steps[start:stop], inner, strict=True)
        if all(n.op == "call_module" and n.args == (before,) and not n.kwargs for before, n in chained):
            return nn.Sequential(*(self.network.get_submodule(str(node.target)) for node in inner))
        graph = fx.Graph()
        copies = {self.steps[start]: graph.placeholder("features")}

        def copy(node: fx.Node) -> fx.Node:
            if node not in copies:
                if node in self.steps[:start] and _is_batch_size(node):
                    copies[node] = graph.call_method("size", (copies[self.steps[start]], 0))
                else:
                    # Computed from constants and weights alone, or a step of this piece.
                    copies[node] = graph.node_copy(node, copy)
            return copies[node]

        for node in inner:
            copy(node)
        graph.output(copies[self.steps[stop]])
        return fx.GraphModule(self.network, graph)
