"""What a host needs to run a network on an engine: the program, places, and a pair to check by."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..hw.config import EngineConfig
from ..model import golden
from ..model.network import Network
from ..model.program import Program
from .files import write_atomic, write_json
from .inputs import open_picture

FILES = ("program.bin", "program.json", "input.bin", "output*.bin", "output*.mask")
SEED = 1  # of the input where no picture is given


def input_values(picture: str | None, network: Network) -> tuple[torch.Tensor, str]:
    """Return stored input values uint8 (C, H, W), and in words where they are from.

    Parameters
    ----------
    picture : str or None
        As for :func:`.inputs.open_picture`; None is random bytes, always the same.
    network : Network

    Raises
    ------
    ValueError
        If the picture cannot be read or does not fit the network.
    """
    if picture is not None:
        values, name = open_picture(picture, network)
        return values, f"picture {name}"
    shape = network.tensors[network.input].shape
    drawn = np.random.default_rng(SEED).integers(0, 256, shape, np.uint8)
    return torch.from_numpy(drawn), f"random bytes: numpy.random.default_rng({SEED})"


def write_program(
    network: Network, program: Program, config: EngineConfig, out_dir: Path, picture: str | None
) -> dict[str, Any]:
    """Write ``program.bin``, ``program.json``, ``input.bin`` and ``output.bin`` with its mask.

    ``input.bin`` is what memory holds from the input's address on, ``output.bin`` what it must
    hold from the output's address on after the run, where ``output.mask`` is 255; what the mask
    leaves out may hold anything. Further outputs are ``output1.bin`` and so on.

    Returns
    -------
    dict
        Figures for the terminal.

    Raises
    ------
    ValueError
        As :func:`input_values`; nothing is written then.
    """
    values, origin = input_values(picture, network)
    results = golden.run(network, values[None])
    tensors = program.tensors(network)
    entries: list[dict[str, Any]] = []
    files: dict[str, bytes] = {"program.bin": program.image}
    for number, (name, about) in enumerate(tensors.items()):
        place = program.places[name]
        first = about["role"] == "input"
        stem = "input" if first else "output" + (str(number - 1) if number > 1 else "")
        memory = np.zeros((2, place.size), np.uint8)
        at = place.offsets() - place.address
        memory[0][at] = values.numpy() if first else results[name][0].numpy()
        memory[1][at] = 255
        files[f"{stem}.bin"] = memory[0].tobytes()
        entry = {"tensor": name, "role": about["role"], "address": place.address,
                 "bytes": place.size, "file": f"{stem}.bin"}  # fmt: skip
        if not first:
            files[f"{stem}.mask"] = memory[1].tobytes()
            entry["mask"] = f"{stem}.mask"
        entries.append(entry)
    description = {
        "base": program.base, "size": program.size, "program_bytes": len(program.image),
        "first_descriptor": program.first_descriptor, "fingerprint": config.fingerprint,
        "network": network.name, "engine": config.module_name, "tensors": tensors,
        "check": {"input": origin, "files": entries},
    }  # fmt: skip
    for name, data in files.items():
        write_atomic(out_dir / name, data)
    write_json(out_dir / "program.json", description)
    return {
        "program": str(out_dir / "program.bin"),
        "places": str(out_dir / "program.json"),
        "check_input": f"{out_dir / 'input.bin'} ({origin})",
        "check_output": str(out_dir / "output.bin"),
        "program_bytes": len(program.image),
        "peak_map_bytes": program.peak_map_bytes,
        "unshared_map_bytes": program.unshared_map_bytes,
    }


def forget_program(config: EngineConfig, out_dir: Path) -> list[str]:
    """Remove a program in a folder that is for another engine than the one written there now.

    Returns
    -------
    list of str
        Names of the files removed; empty where there is no program, or one that runs.
    """
    try:
        known = json.loads((out_dir / "program.json").read_bytes())["fingerprint"]
    except (OSError, ValueError, KeyError, TypeError):
        return []
    if known == config.fingerprint:
        return []
    gone = sorted({path for pattern in FILES for path in out_dir.glob(pattern)})
    for path in gone:
        path.unlink()
    return [path.name for path in gone]
