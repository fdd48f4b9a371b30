"""The lint rules that emitted Verilog cannot keep, each with its reason, as a Verilator file."""

from __future__ import annotations

# Verilator 5 says these with -Wall; everything else it can say stays an error to look into.
WAIVED = {
    "CASEINCOMPLETE": "each case stands after an assignment of what holds when no item matches",
    "CMPCONST": "a comparison with a limit that a smaller engine's counter cannot pass",
    "DECLFILENAME": "all modules of the engine are in one file",
    "PROCASSINIT": "registers have an initial value as well as a reset, for FPGAs",
    "UNUSEDSIGNAL": "sums are formed exactly and cut afterwards; AXI's prot bits are not needed",
    "UNSIGNED": "a comparison with a limit that is 0 in this configuration",
    "WIDTHEXPAND": "constants are written with no more bits than they need",
    "WIDTHTRUNC": "a state of several bits is compared with zero by a logical not",
}


def waiver(verilog: str) -> str:
    """Return the text of a ``.vlt`` file for one Verilog file.

    Parameters
    ----------
    verilog : str
        Name of the Verilog file, without folders.

    Returns
    -------
    str
        To be given to Verilator before the Verilog: ``verilator --lint-only -Wall NAME.vlt
        NAME.v`` then prints nothing.
    """
    rules = [
        f'// {why}\nlint_off -rule {rule} -file "*{verilog}"\n' for rule, why in WAIVED.items()
    ]
    return "\n".join(["`verilator_config\n", *rules])
