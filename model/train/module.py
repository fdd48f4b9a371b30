"""A network in training: steps over named tensors, from real input to real output."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import nn

from ..calibrate import calibrate, signed_tensors
from ..graph import Graph
from ..network import Network
from ..preprocess import Preprocess
from ..quantize import quantize
from ..rounded import Rounded
from .activation import ActivationQuantiser
from .method import Method, WeightScale
from .steps import Activated, AverageStep, ConvStep, Step


@dataclass(frozen=True)
class Conversion:
    """How a module was converted.

    Attributes
    ----------
    method : "shiftcnn" | "deepshift_q" | "deepshift_ps"
    terms, bits : int
        N and B.
    scale : "unit" | "layer" | "channel"
        Scales of the weights.
    act_bits : int
        A, bits of a stored activation; the input keeps its 8 bits.
    """

    method: Method = "shiftcnn"
    terms: int = 1
    bits: int = 4
    scale: WeightScale = "layer"
    act_bits: int = 8


@dataclass(frozen=True)
class Source:
    """What of a graph is neither layer nor tensor.

    Attributes
    ----------
    name : str
    shape : tuple[int, int, int]
        Channels, height, width of the input.
    frac_bits, zero_point : int
        A stored input value a stands for (a - zero_point) 2^-frac_bits.
    preprocess : Preprocess or None
    classes : tuple[str, ...]
    """

    name: str
    shape: tuple[int, int, int]
    frac_bits: int = 0
    zero_point: int = 0
    preprocess: Preprocess | None = None
    classes: tuple[str, ...] = ()


def key(name: str) -> str:
    """Return the submodule name of a step: a dot would be a path."""
    return name.replace(".", "/")


class ShiftModule(nn.Module):
    """A network whose weights and activations are the hardware's while it is trained.

    Parameters
    ----------
    steps : list of Step
        In the order of execution.
    outputs : tuple of str
        Result tensors, the first is *the* output.
    source : Source
    conversion : Conversion
    flat : bool
        Return outputs (B, C, 1, 1) as (B, C).

    Raises
    ------
    ValueError
        If the steps do not fit together; the message names the step.
    """

    input = "input"

    def __init__(
        self,
        steps: list[Step],
        outputs: tuple[str, ...],
        source: Source,
        conversion: Conversion,
        flat: bool = True,
    ) -> None:
        super().__init__()
        self.outputs, self.source, self.conversion, self.flat = outputs, source, conversion, flat
        self.quantiser = ActivationQuantiser(8, signed=source.zero_point != 0)
        if source.zero_point not in (0, self.quantiser.zero_point):
            raise ValueError(f"the input's zero point must be 0 or 128, not {source.zero_point}")
        self.quantiser.set(source.frac_bits)
        self.steps = nn.ModuleDict({key(step.name): step for step in steps})
        last = {name: step.name for step in steps for name in step.inputs}
        self._dead = {
            step.name: [n for n in set(step.inputs) if last[n] == step.name and n not in outputs]
            for step in steps
        }
        signed = signed_tensors(self.to_graph())
        for step in steps:
            if isinstance(step, Activated | AverageStep):
                step.quantiser = ActivationQuantiser(conversion.act_bits, step.output in signed)

    def each(self) -> Iterator[Step]:
        """Yield the steps in the order of execution."""
        for step in self.steps.values():
            assert isinstance(step, Step)
            yield step

    def convolutions(self) -> Iterator[ConvStep]:
        """Yield the steps with weights."""
        return (step for step in self.each() if isinstance(step, ConvStep))

    def forward(self, x: torch.Tensor) -> torch.Tensor | tuple[torch.Tensor, ...]:
        """Return the output of real inputs x, (a - zero_point) 2^-frac_bits of stored ones.

        Parameters
        ----------
        x : Tensor float (B, C, H, W)

        Returns
        -------
        Tensor (B, classes) or (B, C, H', W'), or a tuple where there are several outputs
        """
        tensors = {self.input: self.quantiser(x)}
        for step in self.each():
            tensors[step.output] = step(*(tensors[name] for name in step.inputs))
            for name in self._dead[step.name]:
                del tensors[name]
        results = tuple(
            tensors[name].flatten(1) if self.flat else tensors[name] for name in self.outputs
        )
        return results[0] if len(results) == 1 else results

    def real(self, stored: torch.Tensor) -> torch.Tensor:
        """Return what stored input values, uint8, stand for: float32."""
        return (stored.float() - self.source.zero_point) * 2.0**-self.source.frac_bits

    def regulariser(self) -> torch.Tensor:
        """Return the sum of the weights' regularisers (DeepShift-PS), without its factor."""
        return torch.stack([step.layer.weights.regulariser() for step in self.convolutions()]).sum()

    def freeze_batch_norm(self, frozen: bool = True) -> None:
        """Train on with the running statistics, as they will be exported."""
        for step in self.convolutions():
            step.freeze(frozen)

    def to_graph(self) -> Graph:
        """Return the float graph of the present weights, batch norm folded in."""
        source = self.source
        return Graph(
            source.name, self.input, self.outputs[0], source.shape,
            [step.node() for step in self.each()], source.preprocess, source.classes,
            source.frac_bits, source.zero_point, self.outputs[1:],
        )  # fmt: skip

    def calibrate(self, batches: Iterable[torch.Tensor]) -> dict[str, int]:
        """Freeze every activation's scale at the least squared error over some pictures.

        Batch norm is taken with its running statistics: of a network not yet trained, see
        :func:`.fit.settle_batch_norm`.

        Parameters
        ----------
        batches : iterable of Tensor uint8 (B, C, H, W)
            Stored inputs.

        Returns
        -------
        dict[str, int]
            f by tensor.

        Raises
        ------
        ValueError
            If there are no pictures or a value is not finite.
        """
        frac_bits = calibrate(self.to_graph(), batches, self.conversion.act_bits)
        for step in self.each():
            if step.quantiser is not None:
                step.quantiser.set(frac_bits[step.output])
        return frac_bits

    def frac_bits(self) -> dict[str, int]:
        """Return f of every tensor.

        Raises
        ------
        ValueError
            If the module was not calibrated.
        """
        found = {self.input: self.source.frac_bits}
        for step in self.each():
            if step.quantiser is None:
                found[step.output] = found[step.inputs[0]]
                continue
            if not step.quantiser.ready:
                raise ValueError(f"layer {step.name!r} has no activation scale; calibrate first")
            found[step.output] = int(step.quantiser.frac_bits)
        return found

    def rounded(self) -> dict[str, Rounded]:
        """Return codes, scales and biases of every convolution."""
        return {step.name: step.rounded() for step in self.convolutions()}

    def to_network(self) -> Network:
        """Return the integer network of the trained codes and scales; nothing is rounded anew.

        Raises
        ------
        ValueError
            If the module was not calibrated, or breaks a limit of the engine's formats.
        """
        return quantize(
            self.to_graph(),
            self.frac_bits(),
            terms=self.conversion.terms,
            bits=self.conversion.bits,
            act_bits=self.conversion.act_bits,
            rounded=self.rounded(),
        )

    @contextmanager
    def exact(self) -> Iterator[Network]:
        """Compute with the requantisers' own numbers; give float64 inputs.

        Inside, ``module(x.double())`` in evaluation is the hardware's result to the last bit.

        Yields
        ------
        Network
            The exported network, whose numbers are used.
        """
        network, frac_bits = self.to_network(), self.frac_bits()
        mode = self.training
        self.eval()
        try:
            for step, layer in zip(self.each(), network.layers, strict=True):
                step.fit(layer, frac_bits[step.inputs[0]])
            yield network
        finally:
            for step in self.each():
                step.loosen()
            self.train(mode)

    def describe(self) -> dict[str, Any]:
        """Return how it was converted, as plain JSON data."""
        return asdict(self.conversion) | {
            "name": self.source.name,
            "shape": list(self.source.shape),
            "frac_bits": self.source.frac_bits,
            "zero_point": self.source.zero_point,
        }
