"""Reads an exported graph node by node; what depends on constants alone is computed."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import fx

from . import ops
from .checks import NO_RELU, ONLY_2D, TRANSPOSED, reading
from .ops import Site

Args = dict[str, Any]
Maker = Callable[["Reader", Site, Args, str], ops.Op]
REMEDIES = {  # what to do instead, where there is something to say
    "silu": NO_RELU, "hardswish": NO_RELU, "gelu": NO_RELU, "elu": NO_RELU, "mish": NO_RELU,
    "softplus": NO_RELU, "tanh": NO_RELU, "hardsigmoid": NO_RELU, "celu": NO_RELU,
    "conv1d": ONLY_2D,
    "conv3d": ONLY_2D,
    "conv_transpose2d": TRANSPOSED,
    "upsample_bilinear2d": "use nearest upsampling instead",
    "group_norm": "use batch norm instead", "layer_norm": "use batch norm instead",
    "instance_norm": "use batch norm instead",
    "native_layer_norm": "use batch norm instead", "native_group_norm": "use batch norm instead",
}  # fmt: skip


def op_name(node: fx.Node) -> str:
    """Return an operation's name as torch prints it, without the overload: ``aten.conv2d``."""
    schema = getattr(node.target, "_schema", None)
    return schema.name.replace("::", ".") if schema is not None else str(node.target)


def weighty(node: fx.Node) -> bool:
    """Return whether a node has weights of its own and so is called like its module."""
    return op_name(node).rpartition(".")[2] in (
        "conv2d", "convolution", "linear", "addmm", "mm", "matmul",
    )  # fmt: skip


class Reader:
    """Reads nodes of an exported graph one after another.

    Parameters
    ----------
    constants : dict[str, Any]
        Values of nodes that do not depend on the input; more are found on the way.
    makers : Mapping[str, Maker]
        What makes an operation of each ATen operation.

    Attributes
    ----------
    ops : list[Op]
    values : dict[str, str]
        Name of the value of each node.
    input : str or None
    shape : tuple[int, int, int]
        Of the input.
    """

    def __init__(self, constants: dict[str, Any], makers: Mapping[str, Maker]) -> None:
        self.makers = makers
        self.constants = constants
        self.ops: list[ops.Op] = []
        self.values: dict[str, str] = {}
        self.input: str | None = None
        self.shape = (1, 1, 1)

    def add_input(self, name: str, node: fx.Node) -> None:
        """Read the input's placeholder."""
        if self.input is not None:
            raise ops.UnsupportedError(
                f"network {name!r} has several inputs ({self.input!r}, {node.name!r}); "
                "networks of one picture are supported: fix the others in a wrapper module"
            )
        value = node.meta.get("val")
        if not isinstance(value, torch.Tensor) or value.ndim != 4:
            shape = tuple(value.shape) if isinstance(value, torch.Tensor) else value
            raise ops.UnsupportedError(
                f"network {name!r}: input {node.name!r} must be a tensor (B, C, H, W), not {shape}"
            )
        if value.dtype != torch.float32:
            raise ops.UnsupportedError(
                f"network {name!r}: input {node.name!r} is {value.dtype}, not torch.float32; "
                "export it in float32"
            )
        dims = value.shape[1:]
        if not all(isinstance(n, int) for n in dims):
            raise ops.UnsupportedError(
                f"network {name!r}: input {node.name!r} has dynamic dimensions "
                f"{tuple(map(str, value.shape))}; export it for one size of picture"
            )
        self.input = self.values[node.name] = node.name
        self.shape = (int(dims[0]), int(dims[1]), int(dims[2]))

    def add(self, node: fx.Node, site: Site) -> None:
        """Read one operation; what depends on constants alone is computed."""
        sources = node.all_input_nodes
        if node.target is operator.getitem:
            self._pick(node, site)
            return
        schema = getattr(node.target, "_schema", None)
        if schema is None:
            raise site.refuse("is not an ATen operation", "leave it out of forward()")
        if all(source.name in self.constants for source in sources):
            tags = getattr(node.target, "tags", ())
            if torch.Tag.nondeterministic_seeded in tags:
                raise site.refuse("draws random numbers", "leave it out of forward()")
            with reading(site):
                self.constants[node.name] = self._compute(node)
            return
        names = [argument.name for argument in schema.arguments]
        given: Args = {a.name: a.default_value for a in schema.arguments if a.has_default_value()}
        given |= dict(zip(names, node.args, strict=False)) | dict(node.kwargs)
        given["meta"] = node.meta.get("val")
        short = schema.name.partition("::")[2]
        if short.startswith("_assert") and not node.users:
            return  # torch.export's own checks of types and sizes
        maker = self.makers.get(short)
        if maker is None:
            raise site.refuse("is not supported", REMEDIES.get(short, "leave it out of forward()"))
        with reading(site):
            self.ops.append(maker(self, site, given, node.name))
        self.values[node.name] = node.name

    def _pick(self, node: fx.Node, site: Site) -> None:
        """Read ``results[0]``; further results, such as the indices of a pool, are not there."""
        source, index = node.args
        assert isinstance(source, fx.Node)
        if source.name in self.constants:
            self.constants[node.name] = self.constants[source.name][index]
        elif index != 0 or source.name not in self.values:
            raise site.refuse(f"reads result {index}", "only the first result is supported")
        else:
            self.values[node.name] = self.values[source.name]

    def _compute(self, node: fx.Node) -> Any:
        assert callable(node.target)
        args, kwargs = fx.map_arg((node.args, node.kwargs), lambda n: self.constants[n.name])
        with torch.no_grad():
            return node.target(*args, **kwargs)

    def value(self, site: Site, node: Any) -> str:
        """Return the name of a node's value; refuse a constant in its place."""
        if not isinstance(node, fx.Node) or node.name not in self.values:
            raise site.refuse("reads a constant where the picture is wanted", "check forward()")
        return self.values[node.name]

    def constant(self, site: Site, node: Any, what: str) -> torch.Tensor:
        """Return a constant tensor."""
        if isinstance(node, fx.Node):
            if node.name not in self.constants:
                raise site.refuse(f"has a {what} that depends on the picture",
                                  "only constants are supported there")  # fmt: skip
            return self.constants[node.name]
        return torch.as_tensor(node, dtype=torch.float32)

    def is_constant(self, node: Any) -> bool:
        """Return whether an argument does not depend on the picture."""
        return not isinstance(node, fx.Node) or node.name in self.constants
