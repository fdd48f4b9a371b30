"""DeepShift and ShiftCNN training on the whole of Fashion-MNIST, as one table."""

from __future__ import annotations

import json
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
from safetensors.torch import load_file, save_file

from ..model.train.checkpoint import save_checkpoint
from ..model.train.convert import convert_module
from ..model.train.distill import Distillation
from ..model.train.export import agreement
from ..model.train.fit import accuracy, cross_entropy, fit, settle_batch_norm
from ..model.train.resnet import SmallResNet
from ..model.zoo import fashion_mnist
from .files import content_key, write_atomic, write_json
from .train_data import CALIBRATION, flip, read_data, real
from .train_export import WAYS, export_zoo
from .train_page import to_markdown
from .train_rows import SCALE, SEED, Row, Variant, row_of, start_of, variants

NETWORK: dict[str, Any] = {"widths": (16, 32, 64), "blocks": 1, "stem_stride": 2}
TEMPERATURE = 2.0  # of the float network's scores, learnt from beside the classes
# What a row depends on of the code: all of model/train, these of model/ and of this folder. The
# rows' recipes count one by one.
CODE = {
    "model": ("calibrate", "codebook", "fixed", "golden", "graph", "quantize", "zoo/fashion_mnist"),
    "flow": ("train_bench", "train_data"),
}


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
    key : str
        Hash of all that the result depends on.
    """

    variant: Variant
    start: dict[str, torch.Tensor] | None
    out_dir: Path
    limit: int | None
    key: str

    @property
    def stem(self) -> Path:
        """Files of the result, without their suffix."""
        v = self.variant
        kind = f"{v.method}-{v.terms}x{v.bits}" if v.method else "float"
        return self.out_dir / f"{kind}-{start_of(v)}"


Report = Callable[[int, float], None]


def train_variant(task: Task, report: Report) -> Row:
    """Train and judge one variant on one thread; write its weights and return its row."""
    torch.set_num_threads(1)  # the layers are too small to share: cores train variants instead
    data = read_data(task.limit)
    x, y = data.train.x, data.train.y
    variant, recipe = task.variant, task.variant.recipe
    torch.manual_seed(SEED)
    net = SmallResNet(1, 10, **NETWORK)
    if task.start is not None:
        net.load_state_dict(task.start)
    began, cpu = time.monotonic(), time.process_time()
    weights = task.stem.with_suffix(".safetensors")
    if variant.method is None:
        fit(net, x, y, recipe, to_real=real, augment=flip, progress=report)
        took = time.monotonic() - began, time.process_time() - cpu
        top1 = [100 * accuracy(net, part.x, part.y, real) for part in (data.held_out, data.test)]
        weights.parent.mkdir(parents=True, exist_ok=True)
        save_file(net.state_dict(), weights)
        return _keep(task, row_of(variant, top1[0], top1[1], *took))
    module = convert_module(
        net, (1, 28, 28), method=variant.method, terms=variant.terms, bits=variant.bits,
        scale=SCALE, frac_bits=fashion_mnist.FRAC_BITS, name="fashion_mnist_resnet",
        preprocess=fashion_mnist.PREPROCESS, classes=fashion_mnist.CLASSES,
    )  # fmt: skip
    pictures = x[:CALIBRATION]
    settle_batch_norm(module, (real(part) for part in pictures.split(256)))
    module.calibrate(pictures.split(256))
    # from the float network its scores are learnt, too
    loss = Distillation(net, TEMPERATURE, labels=1.0) if variant.pretrained else cross_entropy
    fit(module, x, y, recipe, loss=loss, augment=flip, calibration=pictures, progress=report)
    took = time.monotonic() - began, time.process_time() - cpu
    top1 = [100 * accuracy(module, p.x, p.y, module.real) for p in (data.held_out, data.test)]
    row = row_of(variant, top1[0], top1[1], *took)
    same = agreement(module, data.test.x, data.test.y)
    assert same.golden_top1 is not None  # classes were given
    save_checkpoint(module, weights)
    row = replace(
        row, golden_top1=100 * same.golden_top1, differs=100 * same.top1_differs,
        max_steps=same.max_steps, exact_differs=100 * same.exact_values_differ,
    )  # fmt: skip
    return _keep(task, row)


def _keep(task: Task, row: Row) -> Row:
    """Write a row beside its weights, so that an interrupted run can be taken up again."""
    write_json(task.stem.with_suffix(".json"), {"key": task.key, "row": asdict(row)})
    return row


def _kept(task: Task) -> Row | None:
    """Return the row of an earlier run that did exactly this."""
    try:
        found = json.loads(task.stem.with_suffix(".json").read_text(encoding="utf-8"))
        whole = task.stem.with_suffix(".safetensors").exists() and found["key"] == task.key
        return Row(**found["row"]) if whole else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def code_key() -> str:
    """Return a hash of the code that rows depend on (``CODE``): a change of it trains anew."""
    root = Path(__file__).parents[1]
    named = [root / folder / f"{name}.py" for folder, names in CODE.items() for name in names]
    files = sorted((root / "model" / "train").glob("*.py")) + named
    return content_key(*(path.read_bytes() for path in files))


def _key(variant: Variant, first: Variant, limit: int | None, code: str) -> str:
    """Return a hash of what a variant's result depends on."""
    start = (asdict(first), TEMPERATURE) if variant.pretrained else None
    return content_key(asdict(variant), start, NETWORK, SCALE, limit, SEED, torch.__version__, code)


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

    return train_variant(task, report)


def bench_train(
    out_dir: Path,
    console: Console,
    *,
    epochs: tuple[int, int, int] = (8, 2, 3),
    batch: int = 256,
    limit: int | None = None,
    jobs: int = 2,
    only: Callable[[Variant], bool] | None = None,
    zoo: tuple[str, ...] = ("resnet8", "person_detect"),
    fresh: bool = False,
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
    zoo : tuple of str
        Networks of the zoo to train a little and compare with their exports.
    fresh : bool
        Train what an earlier, interrupted run has already trained in the same way, too.

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
    data, code = read_data(limit), code_key()
    train = len(data.train.x)
    first, *others = variants(epochs, batch)
    others = [variant for variant in others if only is None or only(variant)]
    document: dict[str, Any] = {
        "data": "Fashion-MNIST", "training_pictures": train,
        "held_out_pictures": len(data.held_out.x), "test_pictures": len(data.test.x),
        "network": NETWORK | {"parameters": _parameters()}, "epochs": epochs, "batch": batch,
        "jobs": jobs, "cores": os.cpu_count(), "torch": torch.__version__, "complete": False,
        "temperature": TEMPERATURE, "scale": SCALE, "code": code, "rows": [], "export": [],
    }  # fmt: skip
    rows: dict[int, Row] = {}

    def write() -> None:
        document["rows"] = [asdict(rows[place]) for place in sorted(rows)]
        every = len(rows) == 1 + len(others)
        document["complete"] = every and len(document["export"]) == len(zoo) * len(WAYS)
        document["cpu_seconds"] = round(sum(row.cpu_seconds for row in rows.values()))
        write_json(out_dir / "training.json", document)
        write_atomic(out_dir / "training.md", to_markdown(document))

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with _Shown(console, [first, *others], train) as shown:
            task = Task(first, None, out_dir, limit, _key(first, first, limit, code))
            row = None if fresh else _kept(task)
            rows[0] = row or train_variant(task, shown.report(0))
            shown.done(0, rows[0])
            write()
            document["export"] = [asdict(found) for found in export_zoo(zoo)]
            write()
            state = load_file(task.stem.with_suffix(".safetensors"))
            tasks = [
                Task(
                    v, state if v.pretrained else None, out_dir, limit, _key(v, first, limit, code)
                )
                for v in others
            ]  # fmt: skip
            for place, task in enumerate(tasks, start=1):
                row = None if fresh else _kept(task)
                if row is not None:
                    rows[place] = row
                    shown.done(place, row)
            write()
            context = multiprocessing.get_context("spawn")
            queue = context.Queue()
            with ProcessPoolExecutor(jobs, context, _enter, (queue,)) as pool:
                left_over = [(p, t) for p, t in enumerate(tasks, start=1) if p not in rows]
                # those that start at the float network first: the others learn less and cost more
                left_over.sort(key=lambda item: (not item[1].variant.pretrained, item[0]))
                futures = {pool.submit(_work, p, task): p for p, task in left_over}
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
