"""What a user names on the command line: an engine, a network, a picture."""

from __future__ import annotations

import json
import re
from dataclasses import fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from ..hw.config import PRESETS, EngineConfig, preset
from ..model.accuracy import calibrate_squeezenet
from ..model.integers import open_book
from ..model.network import Network
from ..model.quantize import quantize
from ..model.zoo import MODELS, pictures, squeezenet

Scale = Literal["layer", "channel"]
PARAMETERS = [field.name for field in fields(EngineConfig)]


def open_config(source: str, changes: list[str] | None = None) -> EngineConfig:
    """Return an engine's parameters.

    Parameters
    ----------
    source : str
        A preset's name, or a JSON file: parameters, or the NAME.json of an emitted engine.
    changes : list of str, optional
        ``parameter=value`` pairs.

    Raises
    ------
    ValueError
        If there is no such preset or file, or a parameter is unknown, out of range or not what
        the arithmetic makes it; the message names the file.
    """
    if source in PRESETS or not source.endswith(".json"):
        return changed(preset(source), changes)
    return changed(_read_config(source), changes)


def _read_config(source: str) -> EngineConfig:
    """Return the parameters in a JSON file; what is wrong with it is told with its name."""
    try:
        data = json.loads(Path(source).read_bytes(), object_pairs_hook=_once)
    except FileNotFoundError:
        raise ValueError(f"no such file: {source}") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"{source}: not JSON: line {error.lineno}: {error.msg}") from None
    except UnicodeDecodeError:
        raise ValueError(f"{source}: not JSON: not UTF-8") from None
    except ValueError as error:
        raise ValueError(f"{source}: {error}") from None
    if isinstance(data, dict):
        data = data.get("config", data)
    if not isinstance(data, dict):
        raise ValueError(f"{source}: not the parameters of an engine")
    for name in data:
        if name not in PARAMETERS:
            raise ValueError(f"{source}: {_no_parameter(name)}")
    try:
        config = EngineConfig(**data)
    except ValueError as error:
        raise ValueError(f"{source}: {error}") from None
    for name, value in data.items():
        if (problem := _overruled(config, name, value)) is not None:
            raise ValueError(f"{source}: {problem}")
    return config


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object of JSON; a key that is there twice would hide the first."""
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{twice} is given twice")
    return found


def changed(config: EngineConfig, changes: list[str] | None) -> EngineConfig:
    """Return a config with some parameters changed by ``parameter=value`` pairs.

    Raises
    ------
    ValueError
        If a parameter is unknown, out of range, given twice, or not what the arithmetic makes it.
    """
    values: dict[str, Any] = {}
    for change in changes or []:
        name, _, text = change.partition("=")
        if not name or not text:
            raise ValueError(f"--set wants parameter=value, not {change!r}")
        if name not in PARAMETERS:
            raise ValueError(f"--set {change}: {_no_parameter(name)}")
        words = {"true": True, "false": False}
        value = int(text) if re.fullmatch(r"-?[0-9]+", text) else words.get(text, text)
        if values.setdefault(name, value) != value:
            raise ValueError(f"--set {change}: {name} is {values[name]} already: give it once")
    if not values:
        return config
    config = config.replace(**values)
    for name, value in values.items():
        if (problem := _overruled(config, name, value)) is not None:
            raise ValueError(f"--set {name}={value}: {problem}")
    return config


def _no_parameter(name: str) -> str:
    """Return that there is no such parameter, which may be meant, and which there are."""
    near = get_close_matches(name, PARAMETERS)
    meant = f" (did you mean {' or '.join(near)}?)" if near else ""
    return f"no parameter {name!r}{meant}; there are {', '.join(PARAMETERS)}"


def _overruled(config: EngineConfig, name: str, given: Any) -> str | None:
    """Return what makes an engine differ from what was given, or None."""
    value = getattr(config, name)
    if value == given:
        return None
    return f"with arithmetic {config.arithmetic} {name} is {value}, not {given}: leave it out"


def open_network(
    source: str,
    *,
    terms: int | None = None,
    bits: int | None = None,
    scale: Scale | None = None,
    arithmetic: str = "shift",
) -> Network:
    """Return an integer network.

    Parameters
    ----------
    source : str
        A name of the zoo, or a folder that `convert` wrote.
    terms, bits : int, optional
        N and B for a network that is still to be quantised; 2 and 4 by default.
    scale : "layer" or "channel", optional
        Its weights' scales; by default that of :func:`default_scale`.
    arithmetic : "shift", "int8" or "int4"
        Of a network that is still to be quantised.

    Raises
    ------
    ValueError
        If it is none of these, is damaged, N or B is out of range, or any of the three is given
        for a network that is quantised already.
    """
    path = Path(source)
    book = open_book(arithmetic, terms, bits)
    if source not in MODELS and path.is_dir():
        given = {"--terms": terms, "--bits": bits, "--scale": scale}
        options = [f"{name} {value}" for name, value in given.items() if value is not None]
        if options:
            raise ValueError(
                f"{source} is quantised already: {options[0]} cannot change it; "
                "convert the original network again"
            )
        return Network.load(path)
    if source not in MODELS:
        known = f"a folder that convert wrote, or one of {', '.join(MODELS)}"
        if path.exists():
            raise ValueError(f"{source} is not a quantised network: give {known}")
        raise ValueError(f"no such file or network: {source!r}; give {known}")
    scale = scale or default_scale(source, arithmetic)
    if source != "squeezenet1_1":
        return MODELS[source].load_quantized(scale=scale, book=book)
    graph = squeezenet.to_graph(squeezenet.load_float())
    return quantize(graph, calibrate_squeezenet(graph), scale=scale, book=book)


def default_scale(source: str, arithmetic: str = "shift") -> Scale:
    """Return how many weight scales a network gets.

    One per layer for SqueezeNet in powers of two, as published, else one per channel.
    """
    return "layer" if (source, arithmetic) == ("squeezenet1_1", "shift") else "channel"


def open_picture(source: str | None, network: Network) -> tuple[torch.Tensor, str]:
    """Return the stored input values of a picture, uint8 (C, H, W), and its name.

    Parameters
    ----------
    source : str or None
        A picture file, or an ``.npy`` file with uint8 values (C, H, W) as they are; None is the
        demonstration's photo.
    network : Network
        Whose input it becomes.

    Raises
    ------
    ValueError
        If there is no such file, it is no picture, or its shape is not the network's.
    """
    info = network.tensors[network.input]
    if source is None:
        picture = pictures.demo()
        source, image = picture.path.name, picture.open()
    elif source.endswith(".npy"):
        try:
            array = np.load(source, allow_pickle=False)
        except FileNotFoundError:
            raise ValueError(f"no picture at {source}") from None
        except (ValueError, OSError, EOFError):
            raise ValueError(f"{source} is not an .npy file") from None
        if array.dtype != np.uint8 or array.shape != info.shape:
            raise ValueError(
                f"{source} must be uint8 {info.shape}, not {array.dtype} {array.shape}"
            )
        return torch.from_numpy(array.copy()), Path(source).name
    else:
        image = source
    if network.preprocess is None:
        raise ValueError(f"network {network.name!r} takes no pictures: give an .npy file")
    values = network.preprocess(image)
    if tuple(values.shape) != info.shape:
        raise ValueError(f"picture must become {info.shape}, not {tuple(values.shape)}")
    return values, Path(source).name
