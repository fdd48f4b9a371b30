"""Accuracy of the networks that frugal engines run and the page of accuracies lacks."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from ..hw.config import EngineConfig
from ..model.accuracy import CROPS, CYCLE_SOURCES, SOURCES, digest_sources, evaluate
from ..model.mixed import Sensitivity
from ..model.variants import FRUGAL
from .files import content_key, write_json
from .progress import Stages

CACHE = Path("build/cache/energy")
JUDGED = ("squeezenet1_1",)  # others take long to round, and the target is not about them


def with_frugal(
    measured: Mapping[str, Any], config: EngineConfig, stages: Stages, cache: Path = CACHE
) -> dict[str, Any]:
    """Return a network's accuracies with those of ``variants.FRUGAL``; a second call is instant.

    Parameters
    ----------
    measured : mapping
        A network's entry in ``accuracy.json``. The same pictures are judged, the same crops rounded
        with, and N mixed by the sensitivities that are there.
    config : EngineConfig
        The engine whose cycles a budget of cycles is of.
    stages : Stages
    cache : Path
    """
    name = measured["network"]
    if name not in JUDGED:
        return dict(measured)
    options = measured.get("options", {})
    asked = {"limit": options.get("limit"), "crops": options.get("crops", CROPS)}
    names = [field.name for field in fields(Sensitivity)]
    known = [Sensitivity(**{n: row[n] for n in names}) for row in measured["sensitivity"]]
    rows, mixes = list(measured["rows"]), dict(measured["mixes"])
    for variant in FRUGAL:
        engine = config if variant.cycles else None
        key = content_key(
            asked, asdict(variant), measured["sensitivity"], engine and engine.to_dict(),
            digest_sources(CYCLE_SOURCES if engine else SOURCES),
        )  # fmt: skip
        path = Path(cache) / f"{name}-{key}.json"
        if not path.exists():
            with stages.stage(f"{name}: accuracy, {variant.name}", variant.name):
                result = evaluate(name, (variant,), known=known, config=engine, **asked)
            found = result.to_dict()
            write_json(path, {"row": found["rows"][-1], "mixes": found["mixes"]})
        judged = json.loads(path.read_bytes())
        rows.append(judged["row"])
        mixes |= judged["mixes"]
    return {**measured, "rows": rows, "mixes": mixes}
