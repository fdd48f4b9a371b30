"""DeepShift and ShiftCNN training on the whole of Fashion-MNIST, as one table."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from ..model.train.checkpoint import save_checkpoint
from ..model.train.convert import convert_module
from ..model.train.export import agreement
from ..model.train.fit import Recipe, accuracy, fit, settle_batch_norm
from ..model.train.method import Method
from ..model.train.resnet import SmallResNet
from ..model.zoo import fashion_mnist
from .files import write_atomic, write_json
from .train_page import to_markdown

NETWORK: dict[str, Any] = {"widths": (8, 16, 32), "blocks": 3, "stem_stride": 2}
CALIBRATION = 1024  # training pictures for the activation scales
SEED = 1


@dataclass(frozen=True)
class Variant:
    """One row of the bench: a method, and where it starts.

    Attributes
    ----------
    name : str
    method : str
        A method of training, or "float".
    terms, bits : int
        N and B; 0 for float.
    pretrained : bool
        Whether it starts at the trained float network.
    recipe : Recipe
    """

    name: str
    method: Method | None
    terms: int
    bits: int
    pretrained: bool
    recipe: Recipe


@dataclass(frozen=True)
class Row:
    """What one variant came to.

    Attributes
    ----------
    top1 : float
        Percent of the test pictures, of the trained module; for a shift network the integer
        network's is ``golden_top1``.
    differs : float or None
        Percent of the test pictures on which module and integer network name another class.
    max_steps : int or None
        Largest difference of a score, in steps of the stored output.
    exact_differs : float or None
        Percent of the scores that differ when the module computes with the requantisers' own
        numbers.
    seconds : float
        Wall time of training.
    cpu_seconds : float
        Processor time of training.
    """

    variant: str
    method: str
    terms: int
    bits: int
    start: str
    epochs: int
    top1: float
    golden_top1: float | None
    differs: float | None
    max_steps: int | None
    exact_differs: float | None
    seconds: float
    cpu_seconds: float


def variants(epochs: tuple[int, int, int], batch: int) -> list[Variant]:
    """Return the rows of the bench, float first.

    Parameters
    ----------
    epochs : tuple of int
        Of float training, of shift training from scratch, of shift training from the float
        network.
    batch : int
        Pictures per step.
    """
    base = Recipe(epochs=epochs[0], batch=batch, rate=5e-3, weight_decay=1e-3, seed=SEED)
    tuned = replace(base, epochs=epochs[2], rate=1e-3, freeze=0.25, seed=SEED + 1)
    scratch = replace(base, epochs=epochs[1], recalibrate=0.5, freeze=0.1)
    found = [
        Variant("float", None, 0, 0, False, base),
        Variant("float, trained on", None, 0, 0, True, replace(tuned, freeze=0.0)),
    ]
    ps = {"optimiser": "radam", "weight_decay": 1e-5}
    for bits in (5, 4, 3):
        for pretrained in (False, True):
            recipe = tuned if pretrained else scratch
            found.append(
                Variant(f"DeepShift-Q {bits} bits", "deepshift_q", 1, bits, pretrained, recipe)
            )
            rate = 2e-3 if pretrained else 1e-2
            recipe = replace(recipe, rate=rate, **ps)  # type: ignore[arg-type]
            found.append(
                Variant(f"DeepShift-PS {bits} bits", "deepshift_ps", 1, bits, pretrained, recipe)
            )
    found.append(Variant("N=2, B=4", "shiftcnn", 2, 4, True, tuned))
    return found


def real(stored: torch.Tensor) -> torch.Tensor:
    """Return what stored pixels stand for."""
    return stored.float() * 2.0**-fashion_mnist.FRAC_BITS


def flip(stored: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
    """Return the pictures, about half of them mirrored."""
    mirrored = torch.rand(len(stored), generator=rng) < 0.5
    return torch.where(mirrored.view(-1, 1, 1, 1), stored.flip(3), stored)


@dataclass(frozen=True)
class Task:
    """What one process needs to train one variant.

    Attributes
    ----------
    start : dict or None
        The float network's state where the variant starts at it.
    out_dir : Path
        Folder of the trained weights.
    limit : int or None
        Use only so many training pictures, and so many for the test.
    """

    variant: Variant
    start: dict[str, torch.Tensor] | None
    out_dir: Path
    limit: int | None


Report = Callable[[int, float], None]


def train_variant(task: Task, report: Report) -> tuple[Row, dict[str, torch.Tensor]]:
    """Train and judge one variant on one thread; return its row and its state."""
    torch.set_num_threads(1)  # the layers are too small to share: cores train variants instead
    x, y = (part[: task.limit] for part in fashion_mnist.read("train"))
    test_x, test_y = (part[: task.limit] for part in fashion_mnist.read("t10k"))
    variant, recipe = task.variant, task.variant.recipe
    torch.manual_seed(SEED)
    net = SmallResNet(1, 10, **NETWORK)
    if task.start is not None:
        net.load_state_dict(task.start)
    began, cpu = time.monotonic(), time.process_time()
    if variant.method is None:
        fit(net, x, y, recipe, to_real=real, augment=flip, progress=report)
        took = time.monotonic() - began, time.process_time() - cpu
        row = _row(variant, 100 * accuracy(net, test_x, test_y, real), *took)
        return row, net.state_dict()
    module = convert_module(
        net, (1, 28, 28), method=variant.method, terms=variant.terms, bits=variant.bits,
        frac_bits=fashion_mnist.FRAC_BITS, name="fashion_mnist_resnet",
        preprocess=fashion_mnist.PREPROCESS, classes=fashion_mnist.CLASSES,
    )  # fmt: skip
    pictures = x[:CALIBRATION]
    settle_batch_norm(module, (real(part) for part in pictures.split(256)))
    module.calibrate(pictures.split(256))
    fit(module, x, y, recipe, augment=flip, calibration=pictures, progress=report)
    took = time.monotonic() - began, time.process_time() - cpu
    row = _row(variant, 100 * accuracy(module, test_x, test_y, module.real), *took)
    same = agreement(module, test_x, test_y)
    assert same.golden_top1 is not None  # classes were given
    stem = f"{variant.method}-{variant.terms}x{variant.bits}-{row.start}"
    save_checkpoint(module, task.out_dir / f"{stem}.safetensors")
    row = replace(
        row, golden_top1=100 * same.golden_top1, differs=100 * same.top1_differs,
        max_steps=same.max_steps, exact_differs=100 * same.exact_values_differ,
    )  # fmt: skip
    return row, module.state_dict()


_QUEUE: Any = None  # of this worker process


def _enter(queue: Any) -> None:
    global _QUEUE
    _QUEUE = queue


def _work(place: int, task: Task) -> Row:
    """Train one variant in a worker process; tell the parent how far it is now and then."""
    waiting, last = 0, time.monotonic()

    def report(count: int, loss: float) -> None:
        nonlocal waiting, last
        waiting += count
        if time.monotonic() - last > 0.5:
            _QUEUE.put((place, waiting, loss))
            waiting, last = 0, time.monotonic()

    return train_variant(task, report)[0]


def bench_train(
    out_dir: Path,
    console: Console,
    *,
    epochs: tuple[int, int, int] = (6, 3, 2),
    batch: int = 256,
    limit: int | None = None,
    jobs: int = 2,
    only: Callable[[Variant], bool] | None = None,
) -> dict[str, Any]:
    """Train every variant: the float network first, then the others side by side.

    Parameters
    ----------
    out_dir : Path
        Folder for ``training.json``, ``training.md`` and the trained weights; the first two are
        written anew after every variant.
    console : Console
        Where progress is shown.
    epochs, batch
        As of :func:`variants`.
    limit : int, optional
        Use only so many training pictures, and so many for the test.
    jobs : int
        Variants trained at the same time, one thread each.
    only : callable, optional
        Leave out the variants it is false for.

    Returns
    -------
    dict
        What ``training.json`` holds.

    Raises
    ------
    MissingDataError
        If the pictures cannot be fetched.
    ValueError
        If training diverges.
    """
    if jobs < 1:
        raise ValueError(f"jobs must be at least 1, not {jobs}")
    train = len(fashion_mnist.read("train")[0][:limit])
    test = len(fashion_mnist.read("t10k")[0][:limit])
    first, *others = variants(epochs, batch)
    others = [variant for variant in others if only is None or only(variant)]
    document: dict[str, Any] = {
        "data": "Fashion-MNIST", "training_pictures": train, "test_pictures": test,
        "network": NETWORK | {"parameters": _parameters()}, "epochs": epochs, "batch": batch,
        "jobs": jobs, "cores": os.cpu_count(), "torch": torch.__version__, "complete": False,
        "rows": [],
    }  # fmt: skip
    rows: dict[int, Row] = {}

    def write() -> None:
        document["rows"] = [asdict(rows[place]) for place in sorted(rows)]
        document["complete"] = len(rows) == 1 + len(others)
        document["seconds"] = round(time.monotonic() - began)
        write_json(out_dir / "training.json", document)
        write_atomic(out_dir / "training.md", to_markdown(document))

    began = time.monotonic()
    threads = torch.get_num_threads()
    try:
        with _Shown(console, [first, *others], train) as shown:
            row, state = train_variant(Task(first, None, out_dir, limit), shown.report(0))
            rows[0] = row
            shown.done(0, row)
            write()
            tasks = [Task(v, state if v.pretrained else None, out_dir, limit) for v in others]
            context = multiprocessing.get_context("spawn")
            queue = context.Queue()
            with ProcessPoolExecutor(jobs, context, _enter, (queue,)) as pool:
                futures = {
                    pool.submit(_work, place, task): place
                    for place, task in enumerate(tasks, start=1)
                }
                try:
                    left = set(futures)
                    while left:
                        ended, left = wait(left, 0.5, FIRST_COMPLETED)
                        shown.drain(queue)
                        for future in ended:
                            place = futures[future]
                            rows[place] = future.result()
                            shown.done(place, rows[place])
                            write()
                except BaseException:
                    pool.shutdown(wait=False, cancel_futures=True)
                    raise
    finally:
        torch.set_num_threads(threads)
    return document


class _Shown:
    """Progress bars: one for all, one per variant."""

    def __init__(self, console: Console, every: list[Variant], pictures: int) -> None:
        self.console, self.every = console, every
        self.progress = Progress(
            TextColumn("{task.description:34}"), BarColumn(), TextColumn("{task.fields[note]}"),
            TimeRemainingColumn(), console=console,
        )  # fmt: skip
        counts = [variant.recipe.epochs * pictures for variant in every]
        self.whole = self.progress.add_task("all", total=sum(counts), note="")
        self.tasks = [
            self.progress.add_task(name_of(v), total=count, note="", start=False)
            for v, count in zip(every, counts, strict=True)
        ]

    def __enter__(self) -> _Shown:
        if self.console.is_terminal:
            self.progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.console.is_terminal:
            self.progress.stop()

    def advance(self, place: int, count: int, loss: float) -> None:
        self.progress.start_task(self.tasks[place])
        self.progress.advance(self.whole, count)
        self.progress.update(self.tasks[place], advance=count, note=f"loss {loss:.3f}")

    def report(self, place: int) -> Report:
        return lambda count, loss: self.advance(place, count, loss)

    def drain(self, queue: Any) -> None:
        while not queue.empty():
            self.advance(*queue.get())

    def done(self, place: int, row: Row) -> None:
        told = f"{row.top1:.2f} %"
        task = self.progress.tasks[self.tasks[place]]
        self.progress.advance(self.whole, (task.total or 0) - task.completed)
        self.progress.update(task.id, completed=task.total, note=told)
        if not self.console.is_terminal:
            text = f"{name_of(self.every[place])}: {told} in {row.seconds:.0f} s"
            self.console.print(text, highlight=False, soft_wrap=True)


def name_of(variant: Variant) -> str:
    """Return what a variant is called in the display."""
    return variant.name + (" from float" if variant.pretrained and variant.method else "")


def _parameters() -> int:
    return sum(p.numel() for p in SmallResNet(1, 10, **NETWORK).parameters())


def _row(variant: Variant, top1: float, seconds: float, cpu: float) -> Row:
    start = "pre-trained" if variant.pretrained else "scratch"
    return Row(
        variant.name, variant.method or "float", variant.terms, variant.bits, start,
        variant.recipe.epochs, top1, None, None, None, None, round(seconds, 1), round(cpu, 1),
    )  # fmt: skip
