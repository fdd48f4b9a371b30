"""One column of the array: rows lanes, an adder tree, and two banks of accumulators."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from .config import EngineConfig
from .copies import copy
from .geometry import spreads
from .plain import Plain
from .ram import NO_COLLISIONS
from .terms import active_layout, decode, pick, pick_late
from .tree import tree_sum


class Column(wiring.Component):
    """Select, add and accumulate for one output channel; one beat per cycle, never stalls.

    A beat's activations stand at ``acts`` in stage C. Stage C picks the terms and adds pairs,
    D1 adds the rest, D2 shifts the sum by the pass, D3 adds it to the accumulator of the beat's
    pixel (or takes the larger of the two), E writes back. In a wide array activations come a long
    way: C0 brings them here, C1 picks the terms, a shift's but for its last multiplexer, and C adds
    four each. In a shallow one stages C and D1 are one, and so are D2 and D3. The control inputs
    carry the stage at which they apply in their names; the array delays them once for all columns.
    A pixel must not return within 4 beats (read in D1, written in E), so the value read in the
    cycle of a write to the same place is never used.

    Parameters
    ----------
    config : EngineConfig

    Members
    -------
    acts : In(rows x act_bits)         activations of the beat (stage C, or C0)
    codes : In(rows * weight_bits)     the next block's codes of this column, term after term
    load : In(1)                       take ``codes`` at the end of this cycle (stage B, or C0)
    d1_address0, d1_address1 : In      accumulator read address per bank
    d1_read0, d1_read1 : In(1)         read enable per bank: sums that start anew need none
    d2_bank, d2_post_shift : In        bank of the beat; passes to come, each worth a left shift
                                       of its sum by lane_terms
    d3_first, d3_maximum : In(1)       start anew; keep the larger value instead of adding
    e_write0, e_write1, e_address : In write enable per bank, and address
    drain, drain_bank : In(1)          show the accumulator read, of this bank, at ``drained``
    drained : Out(acc_bits)            it, one cycle after its address, until the next
    """

    acts: data.View
    codes: Signal
    load: Signal
    d1_address0: Signal
    d1_address1: Signal
    d1_read0: Signal
    d1_read1: Signal
    d2_bank: Signal
    d2_post_shift: Signal
    d3_first: Signal
    d3_maximum: Signal
    e_write0: Signal
    e_write1: Signal
    e_address: Signal
    drain: Signal
    drain_bank: Signal
    drained: Signal

    def __init__(self, config: EngineConfig, group: int = 0) -> None:
        self.config = config
        self.group = group
        super().__init__({
            "acts": In(data.ArrayLayout(config.act_bits, config.rows)),
            "codes": In(config.rows * config.weight_bits),
            "load": In(1),
            "d1_address0": In(range(config.hold)),
            "d1_address1": In(range(config.hold)),
            "d1_read0": In(1),
            "d1_read1": In(1),
            "d2_bank": In(1),
            "d2_post_shift": In(range(config.max_passes)),
            "d3_first": In(1),
            "d3_maximum": In(1),
            "e_write0": In(1),
            "e_write1": In(1),
            "e_address": In(range(config.hold)),
            "drain": In(1),
            "drain_bank": In(1),
            "drained": Out(config.acc_bits),
        })  # fmt: skip

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        config = self.config

        # Stage C: held codes, terms, first levels of the tree.
        wide = spreads(config)
        near = Signal(self.acts.shape(), name="near_acts")
        acts = self.acts.as_value()
        m.d.comb += near.eq(copy(m, "near", acts, self.group).value if wide else acts)
        layout = active_layout(config)
        terms: list[Value] = []
        for index in range(config.lane_terms * config.rows):
            place, row = divmod(index, config.rows)
            active = Plain(layout, name=f"active{index}")
            code = self.codes.word_select(index, config.code_bits)
            with m.If(self.load):
                m.d.sync += active.as_value().eq(decode(config, code))
            if wide:
                term = pick_late(m, config, near[row], active, index)
            else:
                term = pick(m, config, near[row], active, f"term{index}")
            # A term is worth twice as much as the one that follows it.
            terms.append(Cat(Const(0, config.lane_terms - 1 - place), term))
        shallow = config.pipeline == "shallow"
        parts = terms if shallow else []
        together = 4 if wide else 2
        for index in range(0, 0 if shallow else len(terms), together):
            total = tree_sum(terms[index : index + together])
            part = Plain(total.shape(), name=f"part{index // together}")
            m.d.sync += part.eq(total)
            parts.append(part)
        through = m.d.comb if shallow else m.d.sync  # from stage D2 to D3

        # Stage D1: rest of the tree.
        column_sum = Plain(config.sum_max.bit_length())
        m.d.sync += column_sum.eq(tree_sum(parts))

        # Stage D2: weight of the pass. Reads of D1 arrive here.
        most = config.lane_terms * (config.max_passes - 1)
        shifted = Plain(config.sum_max.bit_length() + most)
        by = Cat(Const(0, config.lane_terms - 1), self.d2_post_shift)  # so many times lane_terms
        through += shifted.eq(column_sum << by)
        reads = []
        writes = []
        # All that addresses reach, where copies of them may be inverted.
        depth = 1 << (config.hold - 1).bit_length() if wide else config.hold
        ports = (
            (self.d1_address0, self.d1_read0, self.e_write0),
            (self.d1_address1, self.d1_read1, self.e_write1),
        )
        for bank, (address, wanted, enable) in enumerate(ports):
            memory = Memory(shape=config.acc_bits, depth=depth, init=[], attrs=NO_COLLISIONS)
            m.submodules[f"bank{bank}"] = memory
            write, read = memory.write_port(), memory.read_port()
            m.d.comb += [read.addr.eq(address), read.en.eq(wanted), write.en.eq(enable)]
            reads.append(read.data)
            writes.append(write)
        before = Plain(config.acc_bits)
        through += before.eq(Mux(self.d2_bank, reads[1], reads[0]))
        drained = Plain(config.acc_bits, name="held")
        with m.If(self.drain):
            m.d.sync += drained.eq(Mux(self.drain_bank, reads[1], reads[0]))
        m.d.comb += self.drained.eq(drained)

        # Stage D3: accumulate. A maximum is of plain activations, so act_bits are compared.
        after = Plain(config.acc_bits)
        lane, old = shifted[: config.act_bits], before[: config.act_bits]
        with m.If(self.d3_first):
            m.d.sync += after.eq(shifted)
        with m.Elif(self.d3_maximum):
            m.d.sync += after.eq(Mux(lane > old, lane, old))
        with m.Else():
            m.d.sync += after.eq(before + shifted)

        # Stage E: write back.
        for write in writes:
            m.d.comb += [write.addr.eq(self.e_address), write.data.eq(after)]
        return m
