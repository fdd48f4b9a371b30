"""A network by the name a user gives it: an ONNX file, an exported program, or a factory."""

from __future__ import annotations

import importlib
import sys
import traceback
from pathlib import Path

from torch import nn

from ..graph import Graph
from .assemble import Choose
from .exported import from_exported, from_module
from .onnx_model import from_onnx
from .ops import UnsupportedError

KINDS = "model.onnx, model.pt2 (torch.export.save) or package.module:factory"
WEIGHTS_ONLY = (".pt", ".pth", ".ckpt", ".bin", ".safetensors", ".pkl", ".npz")
FOREIGN = (".h5", ".keras", ".tflite", ".pb", ".caffemodel", ".mlmodel")


def load(
    spec: str, *, preprocess: Choose | None = None, shape: tuple[int, int, int] | None = None
) -> Graph:
    """Return a network as a graph.

    Parameters
    ----------
    spec : str
        ``model.onnx``, ``model.pt2``, or ``package.module:factory``: a module or a function of no
        arguments that returns one. A factory is code of the user's and is run.
    preprocess : Preprocess or callable, optional
        How pictures become the input, or a function that says so, given the input's shape
        and whether it is of bytes.
    shape : tuple[int, int, int], optional
        Channels, rows and columns of a picture: needed for a factory, and for an ONNX file that
        leaves them open.

    Raises
    ------
    UnsupportedError
        If something in the network is not supported.
    ValueError
        If there is no such file or factory, or it is damaged.
    """
    suffix = Path(spec).suffix.lower()
    if ":" in spec and not Path(spec).exists():
        module = open_factory(spec)
        if shape is None:
            raise ValueError(f"{spec} does not say how large its pictures are: give --size")
        name = spec.partition(":")[2].rpartition(".")[2]
        return from_module(module, shape, preprocess=preprocess, name=name)
    if not Path(spec).exists():
        raise ValueError(f"no such file or network: {spec!r}; give {KINDS}")
    if suffix == ".onnx":
        size = None if shape is None else (shape[1], shape[2])
        return from_onnx(spec, preprocess=preprocess, size=size)
    if suffix == ".pt2":
        return from_exported(spec, preprocess=preprocess)
    if suffix in WEIGHTS_ONLY:
        raise ValueError(
            f"{spec} holds weights without the layers: give package.module:factory, whose function "
            "loads them, or torch.export.save the module as .pt2"
        )
    remedy = "export it as ONNX" if suffix in FOREIGN else f"give {KINDS}"
    raise ValueError(f"{spec} is not a network that can be read: {remedy}")


def open_factory(spec: str) -> nn.Module:
    """Return the module that ``package.module:factory`` names.

    Raises
    ------
    ValueError
        If there is no such thing, it fails, or it returns no torch.nn.Module.
    """
    where, _, name = spec.partition(":")
    here = str(Path.cwd())
    fresh = here not in sys.path
    if fresh:
        sys.path.insert(0, here)  # as `python -m` does
    try:
        found = importlib.import_module(where)
    except ModuleNotFoundError as error:
        raise ValueError(f"{spec}: no Python module {error.name!r} here") from None
    except Exception as error:  # whatever the user's file raises
        raise ValueError(f"{spec}: importing {where} fails: {_say(error)}") from error
    finally:
        if fresh:
            sys.path.remove(here)
    for part in name.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            raise ValueError(f"{spec}: {where} has no {name!r}") from None
    if not isinstance(found, nn.Module):
        if not callable(found):
            raise ValueError(f"{spec} is {type(found).__name__}, no function and no module")
        try:
            found = found()
        except Exception as error:  # whatever the user's function raises
            raise ValueError(f"{spec}: {name}() fails: {_say(error)}") from error
    if not isinstance(found, nn.Module):
        raise UnsupportedError(
            f"{spec}: {name}() returns {type(found).__name__}, not a torch.nn.Module"
        )
    return found


def _say(error: Exception) -> str:
    """Return an exception in one line, with where the user's code raised it."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [f for f in frames if f.filename != __file__ and not f.filename.startswith("<frozen")]
    where = f" at {Path(own[-1].filename).name}:{own[-1].lineno}" if own else ""
    return f"{type(error).__name__}{where}: {' '.join(str(error).split())[:200]}"
