"""From what `convert` is given to an integer network: import, calibrate, round."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, cast

import torch
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)

from ..hw.config import EngineConfig
from ..model.accuracy import CROPS
from ..model.agreement import Agreement, has_classes, measure_agreement
from ..model.calibrate import OBSERVERS, Calibration, Observer, observe, tied_tensors
from ..model.graph import ConvNode, Graph
from ..model.importer import load
from ..model.integers import open_book
from ..model.network import Network
from ..model.quantize import quantize
from ..model.rounding import open_method, round_graph
from ..model.zoo import MODELS
from .inputs import Scale, default_scale, open_config, open_network
from .pictures import PictureOptions, open_folder
from .progress import Bars
from .rounding_pictures import SHARE, RoundingPictures, from_crops, from_zoo, split

if TYPE_CHECKING:
    from .coding import Coding  # these two draw plots: slow to import
    from .mixing import Mixing

BATCH = 8
Advance = Callable[[int], None]


@dataclass(frozen=True, kw_only=True)
class Request:
    """What the user asked for; None is what was left open.

    Attributes
    ----------
    source : str
        A name of the zoo, an ONNX file, a .pt2 file, package.module:factory, or a folder.
    terms, bits : int or None
        N and B; 2 and 4 by default.
    scale : "layer" | "channel" or None
        Of the weights; "channel" by default, but "layer" for squeezenet1_1 (as in the paper).
    rounding : str or None
        A method of :mod:`..model.rounding`; "greedy" by default.
    budget : float or None
        Mean terms per weight, or with ``preset`` cycles, for N by layer; instead of ``terms``.
    preset : str or None
        The engine whose cycles the budget counts, or that codes are chosen for.
    changes : tuple of str
        ``parameter=value`` pairs for that engine.
    observer : str or None
        How activation scales are chosen; "error" by default.
    calibration : Path or None
        A folder of unlabelled pictures.
    pictures : int or None
        Use at most so many of them.
    crops : int or None
        Round and code with so many random crops of the pictures, not with the pictures
        themselves; by default with the pictures, but with CROPS crops where a network of the zoo
        has them.
    options : PictureOptions
        How pictures become the input of an imported network.
    codec : str or None
        "auto" stores feature maps in fewer bits where that costs little.
    max_drop : float or None
        Points of top-1 accuracy that this may cost, as estimated; 1 by default.
    arithmetic : "shift", "int8", "int4" or None
        What weights become, "shift" by default; integers have no terms and bits of their own.
    """

    source: str
    terms: int | None = None
    bits: int | None = None
    scale: Scale | None = None
    rounding: str | None = None
    budget: float | None = None
    preset: str | None = None
    changes: tuple[str, ...] = ()
    observer: str | None = None
    calibration: Path | None = None
    pictures: int | None = None
    crops: int | None = None
    options: PictureOptions = field(default_factory=PictureOptions)
    codec: str | None = None
    max_drop: float | None = None
    arithmetic: str | None = None


@dataclass(frozen=True, eq=False)
class Converted:
    """An integer network, and what its owner should know about how it came about.

    Attributes
    ----------
    network : Network
    notes : tuple[str, ...]
    mixing : Mixing or None
        Where there was a budget.
    calibration : Calibration or None
        Where pictures chose the scales of activations.
    agreement : Agreement or None
        With the float network, where there are pictures and one score per class.
    apart : bool
        No picture, nor part of it, was both rounded with and judged on.
    rounded_with : int
        Pictures or crops that the rounding looked at.
    coding : Coding or None
        Where codes were asked for.
    """

    network: Network
    notes: tuple[str, ...]
    mixing: Mixing | None = None
    calibration: Calibration | None = None
    agreement: Agreement | None = None
    apart: bool = True
    rounded_with: int = 0
    coding: Coding | None = None


def convert_network(request: Request, console: Console) -> Converted:
    """Return the integer network that a request describes.

    Raises
    ------
    ValueError
        If the source, the pictures or an option is wrong; nothing has been written then.
    """
    source = request.source
    arithmetic = request.arithmetic or "shift"
    book = open_book(arithmetic, request.terms, request.bits)
    method = request.rounding
    if method is None:
        method = "greedy" if request.budget is None else "compensated"
    open_method(method)
    if request.budget is not None and (terms := request.terms) is not None:
        raise ValueError(f"--budget chooses the terms of each layer: leave out --terms {terms}")
    if request.budget is not None and arithmetic != "shift":
        raise ValueError(f"--budget chooses terms, {arithmetic} weights have none: leave it out")
    if request.budget is not None and not 0 < request.budget < math.inf:
        raise ValueError(f"--budget must be positive and finite, not {request.budget:g}")
    if request.preset is not None and request.budget is None and request.codec is None:
        raise ValueError(
            f"--preset {request.preset} is the engine of a --budget or of --codec: give one"
        )
    if request.changes and request.preset is None:
        raise ValueError(f"--set {request.changes[0]} changes the engine of --preset: give one")
    config = open_config(request.preset, list(request.changes)) if request.preset else None
    observer = cast(Observer, "error" if request.observer is None else request.observer)
    if observer not in OBSERVERS:
        raise ValueError(
            f"--observer must be one of {', '.join(OBSERVERS)}, not {request.observer!r}"
        )
    if request.pictures is not None and request.pictures < 1:
        raise ValueError(f"--pictures must be at least 1, not {request.pictures}")
    if request.crops is not None and request.crops < 1:
        raise ValueError(f"--crops must be at least 1, not {request.crops}")
    drop = check_drop(request.codec, request.max_drop)
    if drop is not None and request.budget is not None:
        raise ValueError("--codec auto and --budget choose one after the other: leave out --budget")
    looks = method != "greedy" or request.budget is not None
    crops = looks or drop is not None
    in_zoo = source in MODELS
    if not in_zoo and Path(source).is_dir():
        _refuse(request, f"{source} is quantised already", everything=True)
        return Converted(open_network(source), ())
    if request.crops is not None and not crops:
        raise ValueError(f"greedy rounding looks at no pictures: leave out --crops {request.crops}")
    chosen: RoundingPictures | None = None
    if in_zoo:
        _refuse(request, f"{source} brings pictures of its own", everything=False)
        loader = MODELS[source]
        if request.crops is not None and loader.crops is None:
            raise ValueError(f"{source} has no crops of its pictures: leave out --crops")
        graph = loader.load_float()
        stored = loader.calibration(request.pictures or loader.pictures)
        if crops and loader.crops is not None:
            chosen = from_zoo(loader, request.crops or CROPS)
        scale = request.scale or default_scale(source, arithmetic)
    elif not (Path(source).exists() or Path(source).suffix or ":" in source):
        raise ValueError(
            f"no such file or network: {source!r}; the zoo has {', '.join(MODELS)}, other networks "
            "come as model.onnx, model.pt2 or package.module:factory"
        )
    else:
        shape = request.options.shape()
        graph = load(source, preprocess=request.options.preprocess, shape=shape)
        paths, stored = _own_pictures(request, graph, console)
        if request.crops is not None and len(stored):
            assert graph.preprocess is not None
            with _bar(console, "Crop pictures", request.crops) as advance:
                chosen = from_crops(paths, stored, graph.preprocess, request.crops, advance)
        scale = request.scale or "channel"
    if looks and not len(stored):
        what = "--budget" if request.budget is not None else f"--rounding {method}"
        raise ValueError(f"{what} needs --calibration: a folder of pictures")
    if request.budget is not None and request.scale == "layer":
        raise ValueError("--budget rounds with one scale per channel: leave out --scale layer")
    chosen = chosen or split(stored, crops)
    if request.budget is not None and not chosen.apart:
        raise ValueError(f"a budget needs at least {SHARE} pictures, not {len(stored)}")
    fixed = _fixed(graph)
    seen = None
    if len(stored):
        seen = _observe(graph, list(stored.split(BATCH)), observer, fixed, console)
    frac_bits = fixed if seen is None else seen.frac_bits
    if request.budget is not None:
        mixing = _mix(request.budget, config, graph, frac_bits, chosen, method, book.bits, console)
        return Converted(
            mixing.network, graph.notes, mixing, seen, mixing.agreement, True, len(chosen.rounding)
        )
    rounded = None
    if looks:
        convolutions = sum(isinstance(node, ConvNode) for node in graph.nodes)
        with _bar(console, f"Round, {method}", convolutions) as advance:
            rounded = round_graph(
                graph, frac_bits, chosen.rounding.split(BATCH), method=method, book=book,
                scale=scale, progress=lambda _name, _number: advance(1),
            )  # fmt: skip
    network = quantize(graph, frac_bits, scale=scale, rounded=rounded, book=book)
    coding = None
    if drop is not None:
        coding = _code(graph, frac_bits, network, chosen, drop, config, console)
        network = coding.network
    agreement = None
    if has_classes(graph) and len(chosen.judges):
        agreement = measure_agreement(graph, network, chosen.judges)
    return Converted(
        network, graph.notes, None, seen, agreement, chosen.apart,
        len(chosen.rounding) if looks else 0, coding,
    )  # fmt: skip


def check_drop(codec: str | None, max_drop: float | None) -> float | None:
    """Return the drop that coding maps may cost; None where nothing is to be coded.

    Raises
    ------
    ValueError
        If ``codec`` is unknown, or the drop is out of range or given without it.
    """
    if codec not in (None, "auto"):
        raise ValueError(f"--codec must be auto, not {codec!r}")
    if codec is None:
        if max_drop is not None:
            raise ValueError(f"--max-drop {max_drop:g} is for --codec auto: add it")
        return None
    drop = 1.0 if max_drop is None else max_drop
    if not 0 <= drop < math.inf:
        raise ValueError(f"--max-drop must be finite and not negative, not {drop:g}")
    return drop


def _refuse(request: Request, why: str, *, everything: bool) -> None:
    """Refuse options that mean nothing for this source."""
    given = {
        "--calibration": request.calibration,
        **request.options.given(),
    }
    if everything:
        named = {"terms": request.terms, "bits": request.bits, "scale": request.scale,
                 "rounding": request.rounding, "budget": request.budget,
                 "preset": request.preset, "set": " ".join(request.changes) or None,
                 "observer": request.observer,
                 "pictures": request.pictures, "crops": request.crops,
                 "codec": request.codec, "max-drop": request.max_drop,
                 "arithmetic": request.arithmetic}  # fmt: skip
        given = {f"--{name}": value for name, value in named.items()} | given
    for name, value in given.items():
        if value is not None:
            remedy = "; convert the original network again" if everything else ""
            raise ValueError(f"{why}: {name} {value} cannot change it{remedy}")


def _own_pictures(
    request: Request, graph: Graph, console: Console
) -> tuple[list[Path], torch.Tensor]:
    """Return the calibration pictures of an imported network, none where it brings all scales."""
    if request.calibration is None:
        if _complete(graph):
            return [], torch.zeros(0, *graph.shape, dtype=torch.uint8)
        raise ValueError(
            f"{request.source} needs --calibration: a folder of pictures like those it will see"
        )
    assert graph.preprocess is not None
    paths = open_folder(request.calibration, request.pictures)
    with _bar(console, "Read pictures", len(paths)) as advance:
        stored = []
        for path in paths:
            stored.append(graph.preprocess(path))
            advance(1)
    return paths, torch.stack(stored)


def _observe(
    graph: Graph, batches: list[torch.Tensor], observer: Observer, fixed: dict[str, int],
    console: Console,
) -> Calibration:  # fmt: skip
    """Return scales by the pictures, where the network does not bring them."""
    with _bar(console, "Calibrate", sum(len(batch) for batch in batches)) as advance:
        return observe(graph, batches, observer=observer, fixed=fixed, progress=advance)


def _fixed(graph: Graph) -> dict[str, int]:
    """Return f of the input, of what the network has quantisers for, and of what is tied to it."""
    owner = tied_tensors(graph)
    known: dict[str, int] = {}
    for name, bits in graph.known_frac_bits.items():
        known[owner[name]] = min(bits, known.get(owner[name], bits))
    known[owner[graph.input]] = graph.frac_bits
    return {name: known[root] for name, root in owner.items() if root in known}


def _mix(
    budget: float, config: EngineConfig | None, graph: Graph, frac_bits: dict[str, int],
    pictures: RoundingPictures, method: str, bits: int, console: Console,
) -> Mixing:  # fmt: skip
    """Return the network under a budget."""
    from .mixing import mix_terms

    columns = (TextColumn("{task.description:<18}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        tell = Bars(progress, str.capitalize)
        return mix_terms(
            graph, frac_bits, pictures.rounding, pictures.judges, budget, config=config,
            method=method, bits=bits, progress=tell,
        )  # fmt: skip


def _code(
    graph: Graph, frac_bits: dict[str, int], network: Network, pictures: RoundingPictures,
    drop: float, config: EngineConfig | None, console: Console,
) -> Coding:  # fmt: skip
    """Return the network with the codes that keep the drop."""
    from .coding import code_maps

    columns = (TextColumn("{task.description:<18}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        tell = Bars(progress, str.capitalize)
        return code_maps(
            graph, frac_bits, network, pictures.rounding, pictures.source, drop, config, tell
        )


def _complete(graph: Graph) -> bool:
    """Return whether the imported network's quantisers say the scale of every tensor."""
    owner = tied_tensors(graph)
    roots = {owner[name] for name in graph.known_frac_bits} | {owner[graph.input]}
    return set(owner.values()) <= roots


@contextmanager
def _bar(console: Console, title: str, total: int) -> Iterator[Advance]:
    """Show a bar on a terminal; yields what moves it on."""
    columns = (
        TextColumn("{task.description:<18}"), BarColumn(), MofNCompleteColumn(),
        TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task(title, total=total)
        yield lambda count: progress.advance(task, count)
