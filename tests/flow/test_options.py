"""What a page says was run is what was run."""

from pathlib import Path
from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from shiftwork.flow.options import Bits, Engine, Json, Out, Picture, Set, Sim, Simulator, ran, told


def said(*arguments: str, default: str | None = None) -> str:
    app = typer.Typer()
    found: list[str] = []

    @app.command("bench-it")
    def bench_it(
        context: typer.Context,
        names: Annotated[list[str] | None, typer.Argument()] = None,
        preset: Engine = "base",
        changes: Set = None,
        bits: Bits = 4,
        picture: Picture = None,
        simulator: Sim = Simulator.verilator,
        rounded: Annotated[bool, typer.Option("--rounded/--greedy")] = True,
        absorb: Annotated[bool, typer.Option("--absorb")] = False,
        arrays: Annotated[Path, typer.Option()] = Path("build/arrays.json"),
        scale: Annotated[float, typer.Option()] = 1.0,
        jobs: Annotated[int, typer.Option()] = 2,
        page: Annotated[Path | None, typer.Option()] = None,
        out_dir: Out = Path("build"),
        as_json: Json = False,
    ) -> None:
        found.append(ran(context, "jobs", default=default))

    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    return found[0].removeprefix("shiftwork ").removesuffix(" --page docs/reference")


@pytest.mark.parametrize(
    ("given", "want"),
    [
        ("", ""),
        ("a b", " a b"),
        ("--page p -o out --json --jobs 5", ""),
        ("--arrays other/arrays.json a", " a --arrays other/arrays.json"),
        ("--set rows=8 --set cols=8 --preset small", " --preset small --set rows=8 --set cols=8"),
        ("-B 3 --scale 0.50", " --bits 3 --scale 0.5"),
        ("--greedy --absorb", " --greedy --absorb"),
        ("--rounded --bits 4", " --bits 4 --rounded"),  # what was given, default or not
        ("--simulator icarus --picture my.png", " --picture my.png --simulator icarus"),
    ],
)
def test_what_was_given_is_told(given: str, want: str) -> None:
    assert said(*given.split()) == f"bench-it{want}"


def test_words_are_quoted_and_nothing_given_may_have_a_name() -> None:
    assert said("--picture", "my cat.png") == "bench-it --picture 'my cat.png'"
    assert said("--json", default="make it") == "make it"
    assert said("a", default="make it") == "bench-it a"
    assert told("x", [], {"--fast": True}) == "shiftwork x --fast --page docs/reference"
