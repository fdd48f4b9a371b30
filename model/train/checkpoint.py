"""Checkpoints that evaluate as trained: weights, statistics and activation scales together."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from .module import ShiftModule

FORMAT = "shiftwork-training"


def save_checkpoint(module: ShiftModule, path: Path) -> Path:
    """Write the module's state and how it was converted, whole or not at all.

    The file holds no code: the network's structure comes from whoever loads it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    state = {name: value.detach().contiguous().clone() for name, value in
             module.state_dict().items()}  # fmt: skip
    header = {"format": FORMAT, "conversion": json.dumps(module.describe(), sort_keys=True)}
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as work:
        save_file(state, Path(work) / "new", metadata=header)
        (Path(work) / "new").replace(path)
    return path


def load_checkpoint(module: ShiftModule, path: Path) -> ShiftModule:
    """Read a state into a module that was converted in the same way, and return it.

    Raises
    ------
    ValueError
        If the file cannot be read, is no checkpoint, or is one of another network or conversion;
        the message names what differs. The module is then as it was.
    """
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            state = {name: file.get_tensor(name) for name in file.keys()}
    except (OSError, SafetensorError) as error:
        raise ValueError(f"{path}: cannot read it ({error})") from None
    if header.get("format") != FORMAT:
        raise ValueError(f"{path}: not a checkpoint of a network in training")
    saved, own = json.loads(header["conversion"]), module.describe()
    for name in own:
        if saved.get(name) != own[name]:
            raise ValueError(f"{path}: {name} is {saved.get(name)!r}, the module's {own[name]!r}")
    present = module.state_dict()
    for name in sorted(present.keys() | state.keys()):
        if name not in state or name not in present:
            where = "the checkpoint" if name not in state else "the module"
            raise ValueError(f"{path}: {where} has no {name!r}")
        if state[name].shape != present[name].shape or state[name].dtype != present[name].dtype:
            raise ValueError(f"{path}: {name!r} has another shape or type")
    with torch.no_grad():
        module.load_state_dict(state)
    return module
