"""Where plane codes start from: a table code as two layers, or threshold functions by trial.

**Two layers hold any table.** A comparison ``a >= t`` is a weighted sum of the 8 planes: their
powers of two against t (127 for 128 does as well, but for t = 128, which is the upper plane
itself). Of the 2^k - 1 comparisons T_1, T_2, ... of a channel, bit j of the code is
T_m - T_2m + T_3m - ... with m = 2^j, since of sorted comparisons the first ones are 1: a sum of 0
or 1. Back again the comparisons are sums of the code's bits, and a plane of the level is a sum that
goes up or down where the plane does from one level to the next. So 2^k - 1 planes per channel
between the layers suffice.

**One layer holds no table**, since a bit of the code is then one threshold on a sum of planes. What
is best within that is looked for by coordinate descent, each channel by itself: every function
that the planes can have is tried for one bit, then for the next, encoder and decoder in turns.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import product

import numpy as np
import torch
import torch.nn.functional as F

from .frozen import TOP, A, Form, FrozenPlanes, Mode
from .table import VALUES, TableCode

STARTS, ROUNDS = 16, 5
SIGNED = 4  # upper planes of which int8 functions try every sign
DECODER_TOP = 3  # weights of the decoder's int8 functions that are tried, where there are few
FEW = 4  # bits


def of_table(code: TableCode, hidden: int | None = None) -> FrozenPlanes:
    """Return a table code as a plane code, two layers deep, each channel by itself.

    Parameters
    ----------
    code : TableCode
    hidden : int, optional
        Planes per channel between the layers, 2^k - 1 by default; those above are never 1.

    Returns
    -------
    FrozenPlanes
        Of int8 weights; it computes what ``code`` does.

    Raises
    ------
    ValueError
        If there are too few planes between the layers.
    """
    count = (1 << code.bits) - 1
    hidden = count if hidden is None else hidden
    if hidden < count:
        raise ValueError(f"tables of {code.bits} bits need {count} hidden planes, not {hidden}")
    spare = hidden - count
    form = Form(code.channels, code.bits, "channel", "int8", 1, 2, hidden)
    powers = torch.tensor([min(1 << j, TOP["int8"]) for j in range(A)])
    compare = powers.expand(code.channels, count, A).clone()
    at = code.thresholds.long()
    steps = at - (at > VALUES // 2).long()  # 127 for the upper plane is one too few
    compare[at == VALUES // 2] = torch.tensor([0] * (A - 1) + [1])
    steps[at == VALUES // 2] = 1
    compare, steps = F.pad(compare, (0, 0, 0, spare)), F.pad(steps, (0, spare), value=1)
    number = torch.arange(1, hidden + 1)
    every = 1 << torch.arange(code.bits)[:, None]  # bit j changes at every 2^j-th comparison
    parity = torch.where(number % every == 0, 1 - 2 * ((number // every + 1) % 2), 0)
    planes = (code.levels.long()[:, None] >> torch.arange(A)[:, None]) & 1  # (C, 8, 2^k)
    layers = [
        (form.shape(0, False), compare, steps),
        (form.shape(1, False), parity.expand(code.channels, -1, -1), torch.ones_like(parity[:, 0])),
        (form.shape(1, True), (1 << torch.arange(code.bits)).expand(hidden, -1), number),
        (form.shape(0, True), F.pad(planes.diff(dim=2), (0, spare)), 1 - planes[:, :, 0]),
    ]
    made = []
    for number_of, (shape, weights, thresholds) in enumerate(layers):
        outputs = shape[0]
        back, which = number_of > 1, (0, 1, 1, 0)[number_of]
        whole = weights.expand(code.channels, *weights.shape[-2:]).reshape(shape)
        limits = thresholds.expand(code.channels, -1).reshape(outputs)
        made.append(form.layer(which, back, whole.to(torch.int8), limits.to(torch.int32)))
    return FrozenPlanes(form, tuple(made[:2]), tuple(made[2:]))


@dataclass(frozen=True, eq=False)
class Functions:
    """Threshold functions of some bits, no two of them alike.

    Attributes
    ----------
    weights : Tensor int64 (F, n)
    thresholds : Tensor int64 (F,)
    table : Tensor float (F, 2^n)
        1 where the sum of the weights of a number's bits reaches the threshold.
    """

    weights: torch.Tensor
    thresholds: torch.Tensor
    table: torch.Tensor

    @staticmethod
    def of(weights: torch.Tensor) -> Functions:
        """Return every function of some weights int64 (W, n), the constants among them."""
        n = weights.shape[1]
        numbers = torch.arange(1 << n)
        bits = (numbers[None] >> torch.arange(n)[:, None]) & 1
        sums = (weights.double() @ bits.double()).short()
        # the constants once, of weights 0, and then what is none
        constant = np.packbits(np.array([[1], [0]]).repeat(1 << n, 1), axis=1)
        found = [(torch.zeros(2, n, dtype=torch.int64), torch.tensor([0, 1]), constant)]
        for threshold in range(int(sums.min()) + 1, int(sums.max()) + 1):
            table = sums >= threshold
            varied = table.any(1) & ~table.all(1)
            packed = np.packbits(table[varied].numpy(), axis=1)
            found.append((weights[varied], torch.full((len(packed),), threshold), packed))
        rows = np.ascontiguousarray(np.concatenate([part[2] for part in found]))
        _, first = np.unique(rows.view(f"V{rows.shape[1]}")[:, 0], return_index=True)
        first = np.sort(first)
        table = np.unpackbits(rows[first], axis=1)[:, : 1 << n]
        chosen = torch.from_numpy(first)
        return Functions(
            torch.cat([part[0] for part in found])[chosen],
            torch.cat([part[1] for part in found])[chosen],
            torch.from_numpy(table).float(),
        )


@lru_cache(maxsize=2)
def encoder_functions(mode: Mode) -> Functions:
    """Return functions of the 8 planes: every ternary one; of int8 weights, comparisons too."""
    weights = torch.tensor(list(product((0, 1, -1), repeat=A)))
    if mode == "int8":
        powers = torch.tensor([min(1 << j, TOP["int8"]) for j in range(A)])
        signs = torch.tensor(list(product((1, 0, -1), repeat=SIGNED)))
        upper = torch.cat([torch.ones(len(signs), A - SIGNED, dtype=torch.int64), signs], 1)
        weights = torch.cat([weights, upper * powers, -upper * powers])
    return Functions.of(weights)


@lru_cache(maxsize=4)
def decoder_functions(bits: int, mode: Mode) -> Functions:
    """Return functions of a code's bits: every ternary one, or more where there are few bits."""
    top = DECODER_TOP if mode == "int8" and bits <= FEW else 1
    order = sorted(range(-top, top + 1), key=abs)
    return Functions.of(torch.tensor(list(product(order, repeat=bits))))


def search(
    weights: torch.Tensor, bits: int, mode: Mode = "ternary", *, starts: int = STARTS,
    rounds: int = ROUNDS, seed: int = 0,
) -> FrozenPlanes:  # fmt: skip
    """Return a code of one layer each way with little weighted squared error.

    Parameters
    ----------
    weights : Tensor float64 (C, 256)
        As :func:`.levels.best_splits` takes them.
    bits : int
        k.
    mode : "ternary" | "int8"
    starts : int
        Runs of k planes, saturated above, and beyond these functions drawn at random.
    rounds : int
        Over all bits, of each start.
    seed : int

    Raises
    ------
    ValueError
        If weights have another shape, or ``bits`` is out of range.
    """
    if weights.ndim != 2 or weights.shape[1] != VALUES or not len(weights):
        raise ValueError(f"weights must be (C, {VALUES}), not {tuple(weights.shape)}")
    form = Form(len(weights), bits, "channel", mode, 1)
    there, back = encoder_functions(mode), decoder_functions(bits, mode)
    generator = torch.Generator().manual_seed(seed)
    begin = _starts(there, bits, starts, generator)
    chosen = []
    for row in weights:
        descent = _Descent(row.double(), begin, there, back)
        for _ in range(rounds):
            descent.better_encoder()
            descent.better_decoder()
        chosen.append(descent.best())
    layers = []
    for functions, side in ((there, 0), (back, 1)):
        index = torch.stack([pair[side] for pair in chosen]).flatten()
        shape = form.shape(0, bool(side))
        layers.append(
            form.layer(
                0, bool(side), functions.weights[index].reshape(shape).to(torch.int8),
                functions.thresholds[index].to(torch.int32),
            )
        )  # fmt: skip
    return FrozenPlanes(form, (layers[0],), (layers[1],))


def _starts(
    there: Functions, bits: int, starts: int, generator: torch.Generator
) -> torch.Tensor:  # fmt: skip
    """Return functions to begin with, index (S, k)."""
    values = torch.arange(VALUES)
    runs = []
    for low in range(A - bits + 1):
        window = values.clamp(max=(1 << low + bits) - 1)
        planes = ((window >> torch.arange(low, low + bits)[:, None]) & 1).float()
        # every one is a function of ternary weights: the plane itself or any plane above the run
        same = planes @ there.table.T + (1 - planes) @ (1 - there.table).T
        runs.append(same.argmax(1))
    drawn = torch.randint(
        len(there.table), (max(0, starts - len(runs)), bits), generator=generator
    )  # fmt: skip
    return torch.cat([torch.stack(runs), drawn])[:starts]


class _Descent:
    """Functions of one channel, of several starts together, that lose less with every step.

    Parameters
    ----------
    weight : Tensor float64 (256,)
    begin : Tensor int64 (S, k)
        Index of the encoder's functions.
    there, back : Functions
    """

    def __init__(
        self, weight: torch.Tensor, begin: torch.Tensor, there: Functions, back: Functions
    ) -> None:
        self.functions = there, back
        self.values = torch.arange(VALUES, dtype=torch.float64)
        scale = (weight * self.values**2).sum().clamp(min=1e-300)
        self.weight = (weight / scale).expand(len(begin), -1)
        self.there, self.planes = begin.clone(), there.table[begin].double()
        self.back = torch.zeros(len(begin), A, dtype=torch.int64)
        mass, first = self._cells()
        means = (first / mass.clamp(min=1e-300)).round().long()
        self.levels = torch.stack([(means >> j) & 1 for j in range(A)], 1).double()
        self.better_decoder()

    def _code(self) -> torch.Tensor:
        """Return the code of every value, int64 (S, 256)."""
        twos = 2.0 ** torch.arange(self.planes.shape[1], dtype=torch.float64)
        return torch.einsum("skv,k->sv", self.planes, twos).long()

    def _cells(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return weight and weighted sum of the values with each code, (S, 2^k)."""
        code = self._code()
        empty = torch.zeros(len(code), 1 << self.planes.shape[1], dtype=torch.float64)
        parts = [empty.scatter_add(1, code, self.weight * factor) for factor in (1, self.values)]
        return parts[0], parts[1]

    def _decoded(self) -> torch.Tensor:
        """Return the value of every code, float64 (S, 2^k)."""
        powers = 2.0 ** torch.arange(A, dtype=torch.float64)
        return torch.einsum("sjc,j->sc", self.levels, powers)

    def better_decoder(self) -> None:
        """Choose the function of each plane anew, twice, the upper ones first."""
        mass, first = self._cells()
        table = self.functions[1].table
        for j in [*reversed(range(A))] * 2:
            self.levels[:, j] = 0  # what a 1 costs more than a 0:
            more = mass * (self._decoded() * (2 << j) + (1 << 2 * j)) - (2 << j) * first
            self.back[:, j] = (more.float() @ table.T).argmin(1)
            self.levels[:, j] = table[self.back[:, j]].double()

    def better_encoder(self) -> None:
        """Choose the function of each bit anew."""
        decoded, table = self._decoded(), self.functions[0].table
        for i in range(self.planes.shape[1]):
            self.planes[:, i] = 0
            code = self._code()
            lost = [(decoded.gather(1, code + bit) - self.values) ** 2 for bit in (0, 1 << i)]
            more = self.weight * (lost[1] - lost[0])
            self.there[:, i] = (more.float() @ table.T).argmin(1)
            self.planes[:, i] = table[self.there[:, i]].double()

    def best(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the functions that lose least, index (k,) there and (8,) back."""
        read = self._decoded().gather(1, self._code())
        number = int((self.weight * (read - self.values) ** 2).sum(1).argmin())
        return self.there[number], self.back[number]
