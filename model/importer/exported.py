"""torch.nn modules and exported programs (``.pt2``), by torch.export."""

from __future__ import annotations

import contextlib
import io
import logging
import traceback
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import fx, nn
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind

from ..graph import Graph
from . import ops, reader
from .assemble import Choose, to_graph
from .aten import MAKERS

LIBRARY = str(Path(torch.__file__).parent)


def from_module(
    module: nn.Module,
    shape: tuple[int, int, int],
    *,
    preprocess: Choose | None = None,
    name: str | None = None,
    frac_bits: int = 0,
    zero_point: int = 0,
    classes: tuple[str, ...] = (),
) -> Graph:
    """Return a module, as it behaves in evaluation mode, as a graph.

    Convolutions are named by their modules' paths.

    Parameters
    ----------
    module : nn.Module
        With float32 parameters; its forward takes (B, C, H, W). It is not changed.
    shape : tuple[int, int, int]
        Channels, height and width of a picture.
    preprocess : Preprocess or callable, optional
        How pictures become the module's input, or a function that says so, given its shape and
        whether it is of bytes. None: its input is (a - zero_point) 2^-frac_bits of stored values
        a, so by default pixels as they are, 0..255.
    name : str, optional
        Of the graph; the module's class by default.
    frac_bits, zero_point : int
        Of an input without preprocessing.
    classes : tuple[str, ...]
        Names of the results' channels, or none.

    Raises
    ------
    UnsupportedError
        If torch.export cannot follow the module, or something in it is not supported.
    """
    title = name or type(module).__name__
    _check_types(title, {**dict(module.named_parameters()), **dict(module.named_buffers())})
    first = next(module.parameters(), torch.zeros(()))
    example = torch.zeros(1, *shape, device=first.device)
    with _evaluating(module), _quiet():
        try:
            exported = torch.export.export(module, (example,))
        except Exception as error:  # whatever forward raises
            raise _not_exported(title, error) from error
    return _to_graph(exported, title, preprocess, frac_bits, zero_point, classes)


def from_exported(
    path: str | Path,
    *,
    preprocess: Choose | None = None,
    name: str | None = None,
    frac_bits: int = 0,
    zero_point: int = 0,
    classes: tuple[str, ...] = (),
) -> Graph:
    """Return what ``torch.export.save`` wrote as a graph; parameters as in :func:`from_module`.

    Raises
    ------
    UnsupportedError
        If something in it is not supported.
    ValueError
        If the file cannot be read.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"no such file: {path}")
    with _quiet():
        try:
            exported = torch.export.load(path)
        except Exception as error:  # a damaged archive raises nearly anything
            raise ValueError(
                f"{path}: not a file that torch.export.save wrote ({_first_line(error)})"
            ) from None
    _check_types(str(path), {**exported.state_dict, **exported.constants})
    return _to_graph(exported, name or path.stem, preprocess, frac_bits, zero_point, classes)


def _to_graph(
    exported: ExportedProgram,
    name: str,
    preprocess: Choose | None,
    frac_bits: int,
    zero_point: int,
    classes: tuple[str, ...],
) -> Graph:
    program = to_program(exported, name)
    return to_graph(
        program, preprocess, frac_bits=frac_bits, zero_point=zero_point, classes=classes
    )


def to_program(exported: ExportedProgram, name: str) -> ops.Program:
    """Return an exported program's operations.

    Raises
    ------
    UnsupportedError
        If an operation is not supported, or its input is not one picture-shaped tensor.
    """
    with _quiet():
        plain = exported.run_decompositions({})  # in-place operations become ordinary ones
    plain.graph.eliminate_dead_code()
    result = plain.call_spec.out_spec
    if result is not None and result.type not in (None, tuple, list):
        raise ops.UnsupportedError(
            f"network {name!r}: forward() returns a {result.type.__name__}; return a tensor or a "
            "tuple of tensors"
        )
    read = reader.Reader(_constants(plain), MAKERS)
    for node in plain.graph.nodes:
        if node.op == "placeholder" and node.name not in read.constants:
            read.add_input(name, node)
        elif node.op == "call_function":
            read.add(node, _site(node))
        elif node.op not in ("placeholder", "output"):
            raise _site(node).refuse("is not a plain operation", "leave it out of forward()")
    if read.input is None:
        raise ops.UnsupportedError(f"network {name!r} reads no input")
    outputs = plain.graph.output_node().args[0]
    results = []
    assert isinstance(outputs, tuple | list)
    for output in outputs:
        if not isinstance(output, fx.Node) or output.name in read.constants:
            raise ops.UnsupportedError(
                f"network {name!r}: a result does not depend on the input; return tensors that do"
            )
        results.append(read.values[output.name])
    return ops.Program(name, read.input, read.shape, read.ops, tuple(results))


def _constants(exported: ExportedProgram) -> dict[str, Any]:
    """Return parameters, buffers and constants by the name of their placeholder."""
    found: dict[str, Any] = {}
    for spec in exported.graph_signature.input_specs:
        if spec.kind in (InputKind.PARAMETER, InputKind.BUFFER, InputKind.CONSTANT_TENSOR):
            target = str(spec.target)
            value: Any = exported.state_dict.get(target)
            value = exported.constants[target] if value is None else value
            found[spec.arg.name] = value.detach().cpu()
    return found


def _site(node: fx.Node) -> ops.Site:
    """Return where a node of an exported graph stands in the user's model."""
    stack = list((node.meta.get("nn_module_stack") or {}).values())
    path, kind = stack[-1] if stack else ("", "")
    path = str(path).removeprefix("L['self']").removeprefix(".")
    kind = kind if isinstance(kind, str) else kind.__name__
    parts = [f"module {path or '(the whole)'} ({kind.rpartition('.')[2]})"] if stack else []
    lines = (node.meta.get("stack_trace") or "").splitlines()
    files = [line.strip() for line in lines if line.strip().startswith('File "')]
    own = [line for line in files if LIBRARY not in line]
    if own:
        file, _, line = own[-1].removeprefix('File "').partition('", line ')
        parts.append(f"{Path(file).name}:{line.partition(',')[0]}")
    op = reader.op_name(node)
    leaf = path and (".nn.modules." in str(stack[-1][1]) or reader.weighty(node))
    base = path if leaf else ".".join(filter(None, (path, op.rpartition(".")[2])))
    return ops.Site(base, op, ", ".join(parts) or f"graph node {node.name}")


def _check_types(name: str, tensors: dict[str, Any]) -> None:
    for key, value in tensors.items():
        if isinstance(value, torch.Tensor):
            if value.is_floating_point() and value.dtype != torch.float32:
                raise ops.UnsupportedError(
                    f"network {name!r}: {key!r} is {value.dtype}, not torch.float32; "
                    "call .float() on the module first"
                )


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep what torch.export warns of, logs and prints about itself from the terminal."""
    before = logging.root.manager.disable
    nowhere = io.StringIO()
    with (
        warnings.catch_warnings(),
        contextlib.redirect_stdout(nowhere),
        contextlib.redirect_stderr(nowhere),
    ):
        warnings.simplefilter("ignore")
        logging.disable(logging.WARNING)
        try:
            yield
        finally:
            logging.disable(before)


@contextlib.contextmanager
def _evaluating(module: nn.Module) -> Iterator[None]:
    """Put a module into evaluation mode for a while."""
    training = [part for part in module.modules() if part.training]
    module.eval()
    try:
        yield
    finally:
        for part in training:
            part.training = True


def _not_exported(name: str, error: Exception) -> ops.UnsupportedError:
    """Return the one line about a module that torch.export could not follow."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if LIBRARY not in f.filename]
    own = [f for f in frames if f.filename != __file__]
    where = f" at {Path(own[-1].filename).name}:{own[-1].lineno}" if own else ""
    kind = type(error).__name__
    remedy = "run forward() on a (1, C, H, W) tensor of the given size to see the whole error"
    if "DataDependent" in kind or "data-dependent" in str(error):
        remedy = "forward() must not branch on values of tensors"
    return ops.UnsupportedError(
        f"network {name!r}: torch.export cannot follow forward(){where}: {kind}: "
        f"{_first_line(error)}; {remedy}"
    )


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0][:300] if lines else type(error).__name__
