"""The README's figures from report.json and accuracy.json: ``make readme`` after a measurement."""

from __future__ import annotations

from pathlib import Path

from .files import write_atomic
from .report import LayerFigures, Report, load_report
from .report.html import utilisation_text

BEGIN, END = "<!-- figures: `make readme` writes what follows -->", "<!-- end of figures -->"


def _number(value: int | None) -> str:
    return "not run" if value is None else f"{value:,}".replace(",", " ")


def _share(layers: dict[str, LayerFigures], name: str) -> str:
    return utilisation_text(layers[name].utilisation if name in layers else None)


def figures_table(report: Report, accuracy: str) -> str:
    """Return the figures as Markdown.

    Parameters
    ----------
    report : Report
        Of ``make demo``.
    accuracy : str
        The table that ``make accuracy`` wrote.
    """
    layers = {layer.name: layer for layer in report.layers}
    lanes = f"{report.config['rows']} x {report.config['cols']} lanes"
    area = ", ".join(map(_number, (report.lut, report.ff, report.bram, report.dsp)))
    fmax = "not run" if report.fmax_mhz is None else f"{report.fmax_mhz:.1f} MHz"
    code = "not run" if report.verilog_bytes is None else f"{report.verilog_bytes / 1000:.0f} kB"
    shares = [_share(layers, name) for name in ("fire2_expand3x3", "conv1")]
    shares.insert(0, utilisation_text(report.utilisation))
    rows = [
        ("layers checked: convolutions, pools",
         f"{_number(report.convolutions_checked)}, {_number(report.pools_checked)}"),
        ("values compared with the golden model; different",
         f"{_number(report.values_checked)}; {_number(report.mismatches)}"),
        ("cycles; ideal cycles", f"{_number(report.cycles)}; {_number(report.ideal_cycles)}"),
        ("utilisation: all; fire2's 3x3 expand; conv1, whose input has 3 channels",
         "; ".join(shares)),
        (f"{report.target}: lookup tables, flip-flops, block RAMs, DSPs", area),
        ("Fmax after place and route", fmax),
        ("Verilog", code),
    ]  # fmt: skip
    lines = [
        f"Preset `{report.preset}` ({lanes}), N = {report.terms}, B = {report.bits}, a photo;",
        "one `make demo` measures all of this table:",
        "",
        "| what | figure |",
        "|---|---|",
        *(f"| {name} | {figure} |" for name, figure in rows),
        "",
        "Without labels and without retraining; `make accuracy` measures this table and more",
        "([accuracy](docs/reference/accuracy.md), [how to round](docs/guide/rounding.md)):",
        "",
        accuracy.strip(),
    ]
    return "\n".join(lines)


def update(readme: Path, report: Path, accuracy: Path) -> None:
    """Write the figures between the README's two marks.

    Parameters
    ----------
    readme : Path
        README.md.
    report, accuracy : Path
        report.json of the demonstration, and accuracy.md.

    Raises
    ------
    ValueError
        If a file is missing or the marks are.
    """
    text = readme.read_text(encoding="utf-8")
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{readme}: the marks {BEGIN!r} and {END!r} are missing")
    if not accuracy.exists():
        raise ValueError(f"no such file: {accuracy}; make accuracy writes it")
    table = figures_table(load_report(report), accuracy.read_text(encoding="utf-8"))
    write_atomic(readme, f"{before}{BEGIN}\n{table}\n{END}{after}")


if __name__ == "__main__":
    update(Path("README.md"), Path("build/demo/report.json"), Path("build/accuracy/accuracy.md"))
