"""Control: fetches descriptors, checks them, and runs loading ahead of computing."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .axi import REQUEST
from .checks import Checks
from .codec.tokens import coding_layout
from .config import EngineConfig
from .descriptor import DESCRIPTOR_BYTES, DESCRIPTOR_WORDS, FIELDS, ErrorCode
from .loader import Target, load_command_layout
from .plain import Plain
from .queue import Queue
from .sequencer import COMPUTE_FIELDS, compute_layout
from .tree import tree_sum
from .weights import WEIGHT_COMMAND


def descriptor_layout() -> data.Layout:
    """Return the 1024 bits of a descriptor with its named fields."""
    return data.FlexibleLayout(
        32 * DESCRIPTOR_WORDS,
        {f.name: data.Field(f.width, 32 * f.word + f.lsb) for f in FIELDS},
    )


class Control(wiring.Component):
    """Walk the program: fetch, check, load, hand over to the sequencer; stop after the last.

    While one band is computed the next descriptors are fetched, their weights are asked for and
    their input is loaded. A descriptor's ``wait`` field holds its loading back until so many
    descriptors have been stored, so a layer never reads what is not there yet; ``free`` until so
    many have been computed, so no band is overwritten before its time. A bad descriptor
    is not begun: the error is raised once and nothing more starts until reset.

    Parameters
    ----------
    config : EngineConfig

    Members
    -------
    start : In(1), program : In(32)   pulse; byte address of the first descriptor
    running : Out(1)                  from start to the last store, or to an error
    done : Out(1)                     pulse: the last descriptor has been stored
    error : Out(8), error_valid : Out(1), error_layer : Out(16)   pulse with code and layer
    failed_read, failed_write : In(1) pulses of the bus masters
    outside_read, outside_write : In(1)   they were asked to leave the window
    failed_layer, outside_layer : In(16)  of the reads
    wrong_load : In(1)                pulse: the band being loaded does not fit the buffer
    wrong_weights, wrong_band : In(1), with _layer : In(16)   pulses: sizes do not agree
    progress : In(1)                  a beat is issued, or moves on the bus
    layer : Out(16)                   layer of the last descriptor received: of what is read
    request, data                     descriptor reads
    load : Out(stream), load_done : In(1)     the loader
    weights : Out(stream)             the weight stream
    band : Out(stream)                loaded bands, for the sequencer
    busy : In(1), computed : In(1)    the sequencer works; pulse: it is through with a band
    stored : In(1)                    pulse: a descriptor's output is in memory
    record : Out(1), record_layer : Out(16)   pulse: a layer is stored, keep its counters
    wait_load : Out(1)                the sequencer is idle for want of a loaded band
    coding : Out(coding_layout)       of the band on ``band``, where maps may be stored otherwise
    """

    start: Signal
    program: Signal
    running: Signal
    done: Signal
    error: Signal
    error_valid: Signal
    error_layer: Signal
    failed_read: Signal
    failed_write: Signal
    outside_read: Signal
    outside_write: Signal
    failed_layer: Signal
    outside_layer: Signal
    wrong_load: Signal
    wrong_weights: Signal
    wrong_weights_layer: Signal
    wrong_band: Signal
    wrong_band_layer: Signal
    progress: Signal
    layer: Signal
    request: stream.Interface
    data: stream.Interface
    load: stream.Interface
    load_done: Signal
    weights: stream.Interface
    band: stream.Interface
    busy: Signal
    computed: Signal
    stored: Signal
    record: Signal
    record_layer: Signal
    wait_load: Signal
    coding: data.View

    def __init__(self, config: EngineConfig) -> None:
        self.config = config
        super().__init__({
            "start": In(1), "program": In(32), "running": Out(1), "done": Out(1),
            "error": Out(8), "error_valid": Out(1), "error_layer": Out(16),
            "failed_read": In(1), "failed_write": In(1), "failed_layer": In(16),
            "outside_read": In(1), "outside_write": In(1), "outside_layer": In(16),
            "wrong_load": In(1),
            "wrong_weights": In(1), "wrong_weights_layer": In(16),
            "wrong_band": In(1), "wrong_band_layer": In(16),
            "progress": In(1), "layer": Out(16),
            "request": Out(stream.Signature(REQUEST)),
            "data": In(stream.Signature(config.bus_bits)),
            "load": Out(stream.Signature(load_command_layout(config))),
            "load_done": In(1),
            "weights": Out(stream.Signature(WEIGHT_COMMAND)),
            "band": Out(stream.Signature(compute_layout())),
            "busy": In(1),
            "computed": In(1),
            "stored": In(1),
            "record": Out(1), "record_layer": Out(16),
            "wait_load": Out(1),
            **(
                {"coding": Out(coding_layout(config))}
                if config.codec_bits or config.zero_maps
                else {}
            ),
        })  # fmt: skip

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        config = self.config
        beats = DESCRIPTOR_BYTES // config.bus_bytes
        words = config.bus_bits // 32

        d = Plain(descriptor_layout(), name="descriptor")
        address = Signal(32)
        beat = Signal(range(beats))
        total = Signal(32)  # of the 32 words: zero in a good descriptor
        completed, computed = Signal(16), Signal(16)
        handed = Signal(16)  # descriptors given to the sequencer
        finished = Signal()  # the last descriptor has been handed over

        m.d.comb += [
            self.request.payload.addr.eq(address),
            self.request.payload.beats.eq(beats),
            self.wait_load.eq(self.running & ~self.busy & ~finished),
        ]
        m.d.comb += [
            self.load.payload[name].eq(value)
            for name, value in {
                "addr": d.load_addr, "words": d.load_words, "planes": d.load_planes,
                "plane_stride": d.load_plane_stride, "groups": d.load_groups,
                "group_stride": d.load_group_stride, "base": d.buffer_base,
            }.items()
        ]  # fmt: skip
        if config.codec_bits or config.zero_maps:
            m.d.comb += [
                self.coding.addr.eq(d.out_addr), self.coding.col_blocks.eq(d.col_blocks)
            ]  # fmt: skip
        if config.zero_maps:
            m.d.comb += [
                self.load.payload.segment.eq(d.load_segment),
                self.load.payload.skip.eq(d.load_skip),
                self.load.payload.masks.eq(d.load_masks),
                self.coding.segment.eq(d.store_segment),
            ]
            with m.If(d.store_segment != 0):
                m.d.comb += self.coding.addr.eq(d.store_masks)
        target = self._codec(m, d) if config.codec_bits else None
        m.d.comb += [
            self.weights.payload[name].eq(value)
            for name, value in {
                "addr": d.weight_addr, "beats": d.weight_beats, "tiles": d.tiles,
                "col_blocks": d.col_blocks, "blocks": d.blocks, "layer": d.layer,
            }.items()
        ]  # fmt: skip
        m.d.comb += [getattr(self.band.payload, n).eq(getattr(d, n)) for n in COMPUTE_FIELDS]

        # Negative while too few are stored, or computed.
        stored, freed = Signal(16), Signal(16)
        may_load = Signal()
        m.d.comb += [
            stored.eq(completed - d.wait),
            freed.eq(computed - d.free),
            may_load.eq(~stored[15] & ~freed[15]),
        ]
        with m.If(self.computed):
            m.d.sync += computed.eq(computed + 1)

        # Layers between the hand-over and their last write response: up to 5 wait to be
        # computed, 2 stand in accumulators and 7 in the storer.
        entry = data.StructLayout({"layer": 16, "layer_last": 1})
        m.submodules.under_way = under_way = Queue(entry, 16)
        pass_on, room = Signal(), Signal()
        m.d.comb += [
            room.eq(under_way.i.ready),
            pass_on.eq(self.band.valid & self.band.ready),
            under_way.i.valid.eq(pass_on),
            under_way.i.payload.layer.eq(d.layer),
            under_way.i.payload.layer_last.eq(d.layer_last),
            under_way.o.ready.eq(self.stored),
            self.record_layer.eq(under_way.o.payload.layer),
            self.record.eq(self.stored & under_way.o.payload.layer_last),
        ]

        checks = Checks(m, config, d, total)
        fault = Signal(8)
        raised = Signal(8)
        oldest = Signal(16)  # layer whose output is not all in memory, or that is to come
        m.d.comb += [self.error.eq(raised), self.error_valid.eq(self.running & (raised != 0))]
        m.d.comb += [
            oldest.eq(Mux(under_way.o.valid, under_way.o.payload.layer, self.layer)),
            self.error_layer.eq(self.layer),
        ]
        causes = (
            (self.failed_write, ErrorCode.WRITE, oldest),
            (self.outside_write, ErrorCode.ADDRESS, oldest),
            (self.failed_read, ErrorCode.READ, self.failed_layer),
            (self.outside_read, ErrorCode.ADDRESS, self.outside_layer),
            (self.wrong_load, ErrorCode.SIZE, self.layer),
            (self.wrong_band, ErrorCode.SIZE, self.wrong_band_layer),
            (self.wrong_weights, ErrorCode.SIZE, self.wrong_weights_layer),
            (self._expired(m), ErrorCode.WATCHDOG, oldest),
        )
        for number, (cause, code, layer) in enumerate(causes):
            with m.If(cause) if number == 0 else m.Elif(cause):
                m.d.comb += [raised.eq(code), self.error_layer.eq(layer)]

        receiving = Signal()  # as the state, without its decoder: the FIFO is far
        m.d.comb += self.data.ready.eq(receiving)
        halted = Signal()  # after an error, until reset
        with m.If(self.error_valid):
            m.d.sync += [halted.eq(1), self.running.eq(0)]

        with m.FSM():
            with m.State("IDLE"):
                m.d.sync += [address.eq(self.program), finished.eq(0)]
                m.d.sync += [count.eq(0) for count in (completed, computed, handed)]
                with m.If(self.start & ~halted):
                    m.d.sync += [self.running.eq(1), self.layer.eq(0)]
                    m.next = "FETCH"
            with m.State("FETCH"):
                m.d.comb += self.request.valid.eq(~halted)
                m.d.sync += [beat.eq(0), total.eq(0)]
                with m.If(self.request.valid & self.request.ready):
                    m.d.sync += receiving.eq(1)
                    m.next = "RECEIVE"
            with m.State("RECEIVE"):
                with m.If(self.data.valid):
                    pairs = [total, *(self.data.payload.word_select(i, 32) for i in range(words))]
                    m.d.sync += [
                        d.as_value().eq(Cat(d.as_value()[config.bus_bits :], self.data.payload)),
                        total.eq(tree_sum(pairs)),
                        beat.eq(beat + 1),
                    ]
                    with m.If(beat == beats - 1):
                        m.d.sync += receiving.eq(0)
                        m.next = "SUM"
            with m.State("SUM"):  # one cycle for the long comparisons
                m.d.sync += self.layer.eq(d.layer)
                m.next = "JUDGE"
            with m.State("JUDGE"):
                m.d.sync += fault.eq(checks.fault)
                m.next = "CHECK"
            with m.State("CHECK"):
                m.d.sync += address.eq(address + DESCRIPTOR_BYTES)
                with m.If(fault != 0):
                    m.d.comb += raised.eq(fault)
                with m.Else():
                    m.next = "WEIGHTS"
            with m.State("WEIGHTS"):
                m.d.comb += self.weights.valid.eq(~halted)
                if target is not None:
                    m.d.sync += target.eq(Target.LEVELS)
                with m.If(self.weights.valid & self.weights.ready):
                    m.next = "LOAD"
            with m.State("LOAD"):
                m.d.comb += self.load.valid.eq(may_load & ~halted)
                if target is not None:  # tables that are there are not loaded
                    skip = (target != Target.BAND) & (self.load.payload.words == 0)
                    m.d.comb += self.load.valid.eq(may_load & ~halted & ~skip)
                    with m.If(skip):
                        m.d.sync += target.eq(target + 1)
                with m.If(self.load.valid & self.load.ready):
                    m.next = "LOADING"
            with m.State("LOADING"):
                with m.If(self.load_done):
                    m.next = "HAND"
                    if target is not None:
                        with m.If(target != Target.BAND):
                            m.d.sync += target.eq(target + 1)
                            m.next = "LOAD"
            with m.State("HAND"):
                m.d.comb += self.band.valid.eq(room & ~halted)
                with m.If(pass_on):
                    m.d.sync += handed.eq(handed + 1)
                    m.d.sync += finished.eq(d.last)
                    m.next = "FETCH"
                    with m.If(d.last):
                        m.next = "FINISH"
            with m.State("FINISH"):
                with m.If((completed == handed) & ~halted):
                    m.d.comb += self.done.eq(1)
                    m.d.sync += self.running.eq(0)
                    m.next = "IDLE"

        with m.If(self.stored):
            m.d.sync += completed.eq(completed + 1)
        return m

    def _codec(self, m: Module, d: data.View) -> Signal:
        """Load the tables before the band; say what `codec.coding` has to know of it.

        Returns
        -------
        Signal
            What is loaded next.
        """
        target = Signal(Target)
        load = self.load.payload
        m.d.comb += [
            load.target.eq(target),
            load.bits.eq(d.load_bits),
            load.plane.eq(d.levels_plane),
            self.coding.bits.eq(d.store_bits),
            self.coding.plane.eq(d.thresholds_plane),
        ]
        tables = (
            (Target.LEVELS, d.levels_addr, d.levels_planes, d.load_bits, d.levels_base),
            (Target.THRESHOLDS, d.thresholds_addr, d.thresholds_planes, d.store_bits,
             d.thresholds_base),
        )  # fmt: skip
        for kind, addr, planes, bits, plane in tables:
            with m.If(target == kind):
                m.d.comb += [
                    load.addr.eq(addr),
                    load.words.eq(planes << bits),
                    load.planes.eq(1),
                    load.groups.eq(1),
                    load.base.eq(0),
                    load.bits.eq(bits),
                    load.plane.eq(plane),
                ]
                if self.config.zero_maps:
                    m.d.comb += load.segment.eq(0)
        return target

    def _expired(self, m: Module) -> Value:
        """Return a flag that is high when nothing has moved for too long."""
        still = Signal(self.config.watchdog_bits + 1)
        with m.If(self.progress | ~self.running):
            m.d.sync += still.eq(0)
        with m.Elif(~still[-1]):
            m.d.sync += still.eq(still + 1)
        return still[-1]
