"""Traced layers as steps: what each kind of layer becomes, and what is refused."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

import torch
import torch.nn.functional as F
from torch import fx, nn

from ..network import Padding, Pair
from .module import ShiftModule
from .steps import AddStep, AverageStep, ConcatStep, MaxPoolStep, Step, UpsampleStep, pair

NONE: Padding = (0, 0, 0, 0)


@dataclass(eq=False)
class FloatConv:
    """A convolution or linear layer with what is joined to it, not yet converted."""

    name: str
    source: str
    layer: nn.Conv2d | nn.Linear
    padding: Padding = NONE
    size: Pair = (1, 1)
    norm: nn.BatchNorm2d | None = None
    relu: bool = False
    ceiling: float | None = None
    leak: float = 0.0


@dataclass(frozen=True)
class Value:
    """A tensor while tracing: its name, shape, zeros around it not yet used up, flattened or not.

    ``open`` is the step that may still take a batch norm or an activation.
    """

    name: str
    shape: tuple[int, int, int]
    open: FloatConv | AddStep | None = None
    padding: Padding = NONE
    flat: bool = False


Steps = list[Step | FloatConv]
Modules = list[tuple[Any, Callable[["Reader", fx.Node, Any], Value]]]
Functions = Mapping[Any, Callable[["Reader", fx.Node], Value | None]]


class Reader:
    """Walks the traced nodes once.

    Parameters
    ----------
    traced : fx.GraphModule
    shape : tuple
        Channels, height, width of the input.
    modules, functions
        What reads a layer of a class, or a call of a function or of a tensor's method.
    """

    def __init__(
        self,
        traced: fx.GraphModule,
        shape: tuple[int, int, int],
        modules: Modules,
        functions: Functions,
    ) -> None:
        self.traced, self.shape = traced, shape
        self.modules, self.functions = modules, functions
        self.steps: Steps = []
        self.values: dict[fx.Node, Value] = {}
        self.sizes: dict[fx.Node, int | None] = {}  # sizes of maps: which, None for all of them
        self.names: set[str] = set()

    def read(self) -> tuple[Steps, tuple[str, ...], bool]:
        for node in self.traced.graph.nodes:
            if node.op == "placeholder":
                if self.values:
                    raise ValueError(f"the module must have one input, not also {node.target!r}")
                self.values[node] = Value(ShiftModule.input, self.shape)
            elif node.op == "output":
                return self._finish(node)
            elif node.op == "get_attr":
                self.refuse(node, "a tensor of its own among the layers")
            else:
                value = self._value(node)
                if value is not None:
                    self.values[node] = value
        raise ValueError("the module returns nothing")

    def _finish(self, node: fx.Node) -> tuple[Steps, tuple[str, ...], bool]:
        result = node.args[0]
        found = result if isinstance(result, tuple | list) else (result,)
        if not all(isinstance(item, fx.Node) for item in found):
            raise ValueError("the module must return a tensor or a tuple of tensors")
        values = [self.map(node, item) for item in found]
        if any(value.padding != NONE for value in values):
            raise ValueError("the module ends with zeros around a map: pad before a convolution")
        if any(value.name == ShiftModule.input for value in values):
            raise ValueError("the module returns its input")
        flat = all(value.flat for value in values)
        return self.steps, tuple(value.name for value in values), flat

    def _value(self, node: fx.Node) -> Value | None:
        if node.op == "call_module":
            layer = self.traced.get_submodule(str(node.target))
            for kinds, read in self.modules:
                if isinstance(layer, kinds):
                    return read(self, node, layer)
            self.refuse(node, type(layer).__name__)
        found = self.functions.get(node.target)
        if found is None:
            self.refuse(node, getattr(node.target, "__name__", str(node.target)))
        return found(self, node)

    # helpers

    def _where(self, node: fx.Node) -> str:
        return str(node.target) if node.op == "call_module" else node.name

    def refuse(self, node: fx.Node, what: str) -> NoReturn:
        raise ValueError(
            f"layer {self._where(node)!r}: {what} is not supported in training; "
            "convert_graph(from_module(...)) reads more"
        )

    def arg(self, node: fx.Node, index: int, name: str, default: Any = None) -> Any:
        """Return an argument by place or name."""
        if len(node.args) > index:
            return node.args[index]
        return node.kwargs.get(name, default)

    def map(self, node: fx.Node, source: Any) -> Value:
        """Return the value of an argument that must be a feature map."""
        if not isinstance(source, fx.Node) or source not in self.values:
            self.refuse(node, "an argument that is no feature map")
        return self.values[source]

    def first(self, node: fx.Node, padded: bool = False) -> Value:
        """Return the value of the first argument."""
        value = self.map(node, self.arg(node, 0, "input"))
        if not padded and value.padding != NONE:
            self.refuse(node, "padding before anything but a convolution")
        return value

    def alone(self, node: fx.Node) -> bool:
        """Whether nobody else reads the first argument."""
        source = self.arg(node, 0, "input")
        return isinstance(source, fx.Node) and len(source.users) == 1

    def add(self, node: fx.Node, step: Step | FloatConv, shape: tuple[int, int, int]) -> Value:
        if step.name in self.names:
            self.refuse(node, "a layer that is used twice")
        self.names.add(step.name)
        self.steps.append(step)
        ends = step if isinstance(step, FloatConv | AddStep) else None
        if min(shape) < 1:
            self.refuse(node, f"a window larger than its input, {shape}")
        return Value(step.name, shape, ends)

    # layers

    def conv(self, node: fx.Node, layer: nn.Module) -> Value:
        assert isinstance(layer, nn.Conv2d)
        value = self.first(node, padded=True)
        if value.flat or value.shape[0] != layer.in_channels:
            self.refuse(node, f"a convolution of {layer.in_channels} channels on {value.shape}")
        x = torch.empty(1, *value.shape, device="meta")
        x = F.pad(x, (value.padding[1], value.padding[3], value.padding[0], value.padding[2]))
        out = copy_to_meta(layer)(x).shape
        step = FloatConv(self._where(node), value.name, layer, value.padding)
        return self.add(node, step, (out[1], out[2], out[3]))

    def linear(self, node: fx.Node, layer: nn.Module) -> Value:
        assert isinstance(layer, nn.Linear)
        value = self.first(node)
        channels, height, width = value.shape
        if not value.flat or layer.in_features != channels * height * width:
            self.refuse(node, f"a linear layer of {layer.in_features} inputs on {value.shape}")
        step = FloatConv(self._where(node), value.name, layer, size=(height, width))
        made = self.add(node, step, (layer.out_features, 1, 1))
        return Value(made.name, made.shape, made.open, flat=True)

    def norm(self, node: fx.Node, layer: nn.Module) -> Value:
        assert isinstance(layer, nn.BatchNorm2d | nn.BatchNorm1d)
        value = self.first(node)
        step = value.open
        if not isinstance(step, FloatConv) or step.norm or step.relu or not self.alone(node):
            self.refuse(node, "batch norm that does not follow a convolution alone")
        if layer.running_mean is None:
            self.refuse(node, "batch norm without running statistics")
        if isinstance(layer, nn.BatchNorm1d):
            layer = _as_2d(layer)
        step.norm = layer
        return value

    def activation(self, node: fx.Node, ceiling: float | None = None, leak: float = 0.0) -> Value:
        value = self.first(node)
        step = value.open
        if step is None or step.relu or not self.alone(node):
            self.refuse(node, "an activation that does not follow a convolution or sum alone")
        step.relu, step.ceiling, step.leak = True, ceiling, leak
        return Value(value.name, value.shape, None, flat=value.flat)

    def hardtanh(self, node: fx.Node, low: float, high: float) -> Value:
        if low != 0.0:
            self.refuse(node, f"hardtanh from {low:g}")
        return self.activation(node, high)

    def same(self, node: fx.Node) -> Value:
        value = self.first(node)
        return value if self.alone(node) else Value(value.name, value.shape, flat=value.flat)

    def flatten(self, node: fx.Node) -> Value:
        value = self.first(node)
        return Value(value.name, value.shape, value.open if self.alone(node) else None, flat=True)

    def reshape(self, node: fx.Node) -> Value:
        sizes = node.args[1:]
        if len(sizes) == 1 and isinstance(sizes[0], tuple | list):
            sizes = tuple(sizes[0])
        count = self._numel(node)
        first, rest = sizes if len(sizes) == 2 else (None, None)
        whole = isinstance(first, fx.Node) and self.sizes.get(first) == 0  # x.size(0)
        if not ((whole and rest in (-1, count)) or (first == -1 and rest == count)):
            self.refuse(node, "reshaping to anything but (pictures, values)")
        return self.flatten(node)

    def size(self, node: fx.Node) -> None:
        """Note ``x.size(0)``: a size means something to a reshape alone."""
        self.first(node)
        self.sizes[node] = self.arg(node, 1, "dim")

    def attribute(self, node: fx.Node) -> None:
        """Note ``x.shape``; refuse every other attribute."""
        if self.arg(node, 1, "name") != "shape":
            self.refuse(node, f"the attribute {self.arg(node, 1, 'name')!r} of a map")
        self.first(node)
        self.sizes[node] = None

    def item(self, node: fx.Node) -> None:
        """Note ``x.shape[0]``; refuse slices of maps."""
        source, index = node.args
        if self.sizes.get(source, 0) is not None or not isinstance(index, int):  # type: ignore[call-overload]
            self.refuse(node, "slicing or indexing of a map")
        self.sizes[node] = index

    def _numel(self, node: fx.Node) -> int:
        channels, height, width = self.first(node).shape
        return channels * height * width

    def pad(self, node: fx.Node, amounts: tuple[int, ...], value: float = 0.0) -> Value:
        found = self.first(node)
        if len(amounts) != 4 or value or min(amounts) < 0:
            self.refuse(node, "padding with anything but zeros around the map")
        left, right, top, bottom = amounts
        return Value(found.name, found.shape, None, (top, left, bottom, right))

    def sum(self, node: fx.Node) -> Value:
        parts = node.args[:2]
        if len(parts) != 2 or not all(isinstance(p, fx.Node) for p in parts):
            self.refuse(node, "adding a number")
        if node.kwargs.get("alpha", 1) != 1:
            self.refuse(node, "adding with alpha")
        values = [self.map(node, part) for part in parts]
        if values[0].shape != values[1].shape or any(v.padding != NONE for v in values):
            self.refuse(node, f"adding {values[0].shape} and {values[1].shape}")
        step = AddStep(self._where(node), (values[0].name, values[1].name))
        return self.add(node, step, values[0].shape)

    def concat(self, node: fx.Node) -> Value:
        parts = self.arg(node, 0, "tensors")
        values = [self.map(node, part) for part in parts]
        if self.arg(node, 1, "dim", 0) not in (1, -3) or any(v.padding != NONE for v in values):
            self.refuse(node, "concatenation along anything but channels")
        step = ConcatStep(self._where(node), tuple(value.name for value in values))
        _, height, width = values[0].shape
        return self.add(node, step, (sum(value.shape[0] for value in values), height, width))

    def max_pool(
        self, node: fx.Node, kernel: Any, stride: Any, padding: Any, dilation: Any, ceil: bool
    ) -> Value:
        value = self.first(node)
        if pair(dilation) != (1, 1):
            self.refuse(node, "max pooling with dilation")
        window = self._window(value.shape, kernel, stride, padding, ceil)
        step = MaxPoolStep(self._where(node), value.name, *window[:3])
        return self.add(node, step, (value.shape[0], *window[3]))

    def average_pool(
        self, node: fx.Node, kernel: Any, stride: Any, padding: Any, ceil: bool, count: bool
    ) -> Value:
        value = self.first(node)
        window = self._window(value.shape, kernel, stride, padding, ceil)
        top, left, bottom, right = window[2]
        if (bottom, right) != (top, left) or (any(window[2]) and not count):
            self.refuse(node, "an average pool that does not count its padding")
        step = AverageStep(self._where(node), value.name, *window[:3])
        return self.add(node, step, (value.shape[0], *window[3]))

    def adaptive(self, node: fx.Node, size: Any) -> Value:
        value = self.first(node)
        channels, *inner = value.shape
        wanted = [s or n for s, n in zip(pair(size), inner, strict=True)]
        if wanted == [1, 1]:
            step = AverageStep(self._where(node), value.name)
            return self.add(node, step, (channels, 1, 1))
        if any(n % w for n, w in zip(inner, wanted, strict=True)):
            self.refuse(node, f"adaptive pooling of {inner} to {wanted}, whose windows differ,")
        kernel = (inner[0] // wanted[0], inner[1] // wanted[1])
        step = AverageStep(self._where(node), value.name, kernel, kernel)
        return self.add(node, step, (channels, wanted[0], wanted[1]))

    def mean(self, node: fx.Node) -> Value:
        value = self.first(node)
        dims = self.arg(node, 1, "dim")
        if (
            value.flat
            or not isinstance(dims, tuple | list)
            or sorted(d % 4 for d in dims) != [2, 3]
        ):
            self.refuse(node, "a mean over anything but height and width")
        step = AverageStep(self._where(node), value.name)
        made = self.add(node, step, (value.shape[0], 1, 1))
        return Value(made.name, made.shape, flat=not self.arg(node, 2, "keepdim", False))

    def upsample(self, node: fx.Node, size: Any, factor: Any, mode: str) -> Value:
        value = self.first(node)
        factors = factor if isinstance(factor, tuple | list) else (factor, factor)
        if size is not None or tuple(map(float, factors)) != (2.0, 2.0) or mode != "nearest":
            self.refuse(node, "upsampling other than to twice the size, nearest")
        channels, height, width = value.shape
        step = UpsampleStep(self._where(node), (value.name,))
        return self.add(node, step, (channels, 2 * height, 2 * width))

    def _window(
        self, shape: tuple[int, int, int], kernel: Any, stride: Any, padding: Any, ceil: bool
    ) -> tuple[Pair, Pair, Padding, Pair]:
        """Return kernel, stride, padding with ceil mode in it, and the output's size."""
        kernel, padding = pair(kernel), pair(padding)
        stride = kernel if stride is None or stride == [] else pair(stride)
        x = torch.empty(1, *shape, device="meta")
        out = F.max_pool2d(x, kernel, stride, padding, ceil_mode=ceil).shape
        after = [
            max((o - 1) * s + k - n - p, p if not ceil else 0)
            for o, s, k, n, p in zip(out[2:], stride, kernel, shape[1:], padding, strict=True)
        ]
        return kernel, stride, (padding[0], padding[1], after[0], after[1]), (out[2], out[3])


def copy_to_meta(layer: nn.Conv2d) -> nn.Conv2d:
    """Return a layer of the same geometry without weights, for shapes."""
    return nn.Conv2d(
        layer.in_channels, layer.out_channels, pair(layer.kernel_size), pair(layer.stride),
        layer.padding if isinstance(layer.padding, str) else pair(layer.padding),
        pair(layer.dilation), layer.groups, device="meta",
    )  # fmt: skip


def _as_2d(layer: nn.BatchNorm1d) -> nn.BatchNorm2d:
    made = nn.BatchNorm2d(layer.num_features, layer.eps, layer.momentum, layer.affine)
    made.load_state_dict(layer.state_dict())
    return made
