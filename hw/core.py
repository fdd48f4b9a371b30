"""The core of the engine: control, data path and bus masters, wired up."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .array import Array
from .axi import read_members, write_members
from .codec.coding import Coding
from .codec.loader import CodedLoader
from .codec.tokens import Tokens
from .codec.zero_loader import ZeroLoader
from .config import EngineConfig
from .control import Control
from .copies import MAX_COPIES, copies
from .drain import Drain
from .geometry import AHEAD, fifo_depths, loads_outlast, outputs_depth, takes_early
from .loader import Loader
from .plain import Plain
from .queue import Queue
from .reader import Reader
from .requantise import Requantise
from .sequencer import Sequencer, compute_layout
from .storer import Storer
from .weights import WEIGHT_COMMAND, Weights
from .window import Window
from .wires import join


class Core(wiring.Component):
    """Everything a soft reset resets: control, data path and bus masters.

    Parameters
    ----------
    config : EngineConfig

    Members
    -------
    m_axi_* : AXI4 master
    start : In(1), program : In(32)   pulse; byte address of the first descriptor
    base, limit : In(32)              first and last byte that may be touched
    halt : In(1)                      begin no more bursts
    idle : Out(1)                     no burst is outstanding
    running, done : Out(1)            level; pulse at the end of a program
    error, error_valid, error_layer   pulse with code and layer
    record : Out(1), record_layer     pulse: a layer is in memory
    events : Out(8)                   what this cycle adds to each counter
    """

    start: Signal
    program: Signal
    base: Signal
    limit: Signal
    halt: Signal
    idle: Signal
    running: Signal
    done: Signal
    error: Signal
    error_valid: Signal
    error_layer: Signal
    record: Signal
    record_layer: Signal
    events: Signal

    def __init__(self, config: EngineConfig) -> None:
        self.config = config
        super().__init__({
            **read_members(config.bus_bits),
            **write_members(config.bus_bits),
            "start": In(1),
            "program": In(32),
            "base": In(32),
            "limit": In(32),
            "halt": In(1),
            "idle": Out(1),
            "running": Out(1),
            "done": Out(1),
            "error": Out(8),
            "error_valid": Out(1),
            "error_layer": Out(16),
            "record": Out(1),
            "record_layer": Out(16),
            "events": Out(8),
        })  # fmt: skip

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        config = self.config
        reader: Any = Reader(config, fifo_depths(config))
        m.submodules.reader = reader
        m.submodules.control = control = Control(config)
        coded = config.codec_bits > 0
        loader: Any = CodedLoader(config) if coded else Loader(config)
        m.submodules.loader = loader
        m.submodules.weights = weights = Weights(config)
        m.submodules.sequencer = sequencer = Sequencer(config)
        m.submodules.window = window = Window(config)
        m.submodules.array = array = Array(config)
        m.submodules.drain = drain = Drain(config)
        m.submodules.requantise = requantise = Requantise(config)
        m.submodules.storer = storer = Storer(config)
        join(m, read_members(config.bus_bits), reader, self)
        join(m, write_members(config.bus_bits), storer, self)

        for client, unit in enumerate((control, loader, weights)):
            wiring.connect(m, unit.request, reader.request(client))
            wiring.connect(m, reader.data(client), unit.data)
        if not config.zero_maps:
            wiring.connect(m, control.load, loader.i)
        # Loaded bands, and the weights they will need, wait here.
        m.submodules.bands = bands = Queue(compute_layout(), AHEAD)
        m.submodules.streams = streams = Queue(WEIGHT_COMMAND, AHEAD)
        wiring.connect(m, control.weights, streams.i)
        wiring.connect(m, streams.o, weights.i)
        wiring.connect(m, control.band, bands.i)
        wiring.connect(m, bands.o, sequencer.i)
        wiring.connect(m, sequencer.drain, drain.i)
        if coded or config.zero_maps:
            m.submodules.tokens = tokens = Tokens(config)
            wiring.connect(m, drain.token, tokens.i)
            wiring.connect(m, tokens.o, storer.token)
            m.d.comb += [
                tokens.begin.eq(control.band.valid & control.band.ready),
                tokens.band.eq(control.coding),
                tokens.halt.eq(self.halt),
            ]
        else:
            tokens = None
            wiring.connect(m, drain.token, storer.token)
        wiring.connect(m, drain.o, requantise.i)
        m.submodules.outputs = outputs = Queue(requantise.o.payload.shape(), outputs_depth(config))
        m.d.comb += [  # the drain sends what there is room for
            outputs.i.valid.eq(requantise.o.valid),
            outputs.i.payload.eq(requantise.o.payload),
            drain.taken.eq(outputs.o.valid & outputs.o.ready),
        ]
        if coded:
            self._code(m, loader, tokens, outputs, storer)
        else:
            wiring.connect(m, outputs.o, storer.i)

        # A block's codes are taken when its first beat reaches the window or the array; in the
        # former case they wait for it, so that the next block may arrive meanwhile.
        codes: Value = weights.codes
        early = takes_early(config)
        takes = copies(m, "takes", window.taking, MAX_COPIES if early else 1)
        taken = takes[0].value
        if early:
            codes = Plain(len(weights.codes), name="codes")
            size = -(-len(codes) // len(takes))
            for index, enable in enumerate(takes):
                part = slice(index * size, (index + 1) * size)
                with m.If(enable.value):
                    m.d.sync += codes[part].eq(weights.codes[part])
        # A bank may take longer to drain than the watchdog waits.
        progress = sequencer.issued | reader.beat | storer.beat | requantise.o.valid
        # So may many words of few beats be to load.
        if coded:
            progress |= loader.moved
        elif loads_outlast(config):
            progress |= loader.w_en
        zeros = None
        if config.zero_maps:
            m.submodules.zero_loader = zeros = ZeroLoader(config)
            # And words without values move no beats at all.
            progress |= zeros.moved | zeros.w_en | storer.moved
        m.d.comb += [
            window.w_addr.eq(loader.w_addr),
            window.w_data.eq(loader.w_data),
            window.w_en.eq(loader.w_en),
            window.address.eq(sequencer.address),
            window.i_beat.eq(sequencer.beat),
            window.padding.eq(sequencer.padding),
            window.pad_value.eq(sequencer.pad_value),
            window.mode.eq(sequencer.mode),
            array.beat.eq(window.beat),
            array.acts.eq(window.acts),
            array.separate.eq(window.separate),
            array.taps.eq(window.taps),
            sequencer.taken.eq(taken),
            array.codes.eq(codes),
            array.drain.eq(drain.active),
            array.drain_bank.eq(drain.bank),
            array.drain_address.eq(drain.address),
            weights.taken.eq(taken),
            weights.release.eq(drain.release),
            weights.record_bank.eq(drain.record_bank),
            weights.record_index.eq(drain.record_index),
            sequencer.weights_ready.eq(weights.ready),
            sequencer.weights_last.eq(weights.last),
            control.wrong_load.eq(loader.wrong),
            control.wrong_weights.eq(weights.wrong),
            control.wrong_weights_layer.eq(weights.wrong_layer),
            control.wrong_band.eq(sequencer.wrong),
            control.wrong_band_layer.eq(sequencer.wrong_layer),
            sequencer.release.eq(drain.release),
            drain.landed.eq(array.landed),
            drain.acc.eq(array.drained),
            drain.records.eq(weights.records),
            control.start.eq(self.start),
            control.program.eq(self.program),
            control.load_done.eq(loader.done),
            control.busy.eq(sequencer.busy),
            control.computed.eq(sequencer.computed),
            control.stored.eq(storer.done),
            reader.layer0.eq(control.layer),
            reader.layer1.eq(control.layer),
            reader.layer2.eq(weights.layer),
            reader.base.eq(self.base),
            reader.limit.eq(self.limit),
            storer.base.eq(self.base),
            storer.limit.eq(self.limit),
            control.failed_read.eq(reader.error),
            control.failed_layer.eq(reader.error_layer),
            control.outside_read.eq(reader.outside),
            control.outside_layer.eq(reader.outside_layer),
            control.outside_write.eq(storer.outside),
            control.progress.eq(progress),
            control.failed_write.eq(storer.error),
            reader.halt.eq(self.halt),
            storer.halt.eq(self.halt),
            self.idle.eq(reader.idle & storer.idle),
        ]
        if zeros is not None:
            self._load_without_zeros(m, control, loader, zeros, reader, window)
        told = ("running", "done", "error", "error_valid", "error_layer", "record", "record_layer")
        join(m, {name: control.signature.members[name] for name in told}, control, self)
        waits = Cat(sequencer.wait_weights, control.wait_load, sequencer.wait_drain)
        wait_other = Signal()
        m.d.comb += [
            wait_other.eq(control.running & ~sequencer.issued & ~waits.any()),
            self.events.eq(
                Cat(control.running, sequencer.issued, waits, reader.beat, storer.beat, wait_other)
            ),
        ]
        return m

    def _code(self, m: Module, loader: Any, tokens: Any, outputs: Queue, storer: Storer) -> None:
        """Put the encoder before the storer."""
        m.submodules.coding = coding = Coding(self.config)
        wiring.connect(m, tokens.order, coding.order)
        wiring.connect(m, outputs.o, coding.i)
        wiring.connect(m, coding.o, storer.i)
        wiring.connect(m, loader.thresholds, coding.thresholds)
        m.d.comb += coding.halt.eq(self.halt)

    def _load_without_zeros(
        self, m: Module, control: Control, loader: Any, zeros: Any, reader: Any, window: Window
    ) -> None:
        """Put a second loader beside the first; one of them works at a time."""
        command, load = zeros.i.payload, control.load.payload
        wiring.connect(m, zeros.request, reader.request(3))
        wiring.connect(m, reader.data(3), zeros.data)
        wiring.connect(m, zeros.o_request, reader.request(4))
        wiring.connect(m, reader.data(4), zeros.o_data)
        same = ("words", "planes", "plane_stride", "groups", "group_stride", "base", "segment",
                "skip")  # fmt: skip
        m.d.comb += [
            loader.i.payload.eq(load),
            *(getattr(command, name).eq(getattr(load, name)) for name in same),
            command.addr.eq(load.masks),
            command.values.eq(load.addr),
            reader.layer3.eq(control.layer),
            reader.layer4.eq(control.layer),
            control.load_done.eq(loader.done | zeros.done),
            control.wrong_load.eq(loader.wrong | zeros.wrong),
        ]
        with m.If(load.segment != 0):
            m.d.comb += [
                zeros.i.valid.eq(control.load.valid), control.load.ready.eq(zeros.i.ready),
            ]  # fmt: skip
        with m.Else():
            m.d.comb += [
                loader.i.valid.eq(control.load.valid), control.load.ready.eq(loader.i.ready),
            ]  # fmt: skip
        with m.If(zeros.w_en):
            m.d.comb += [
                window.w_addr.eq(zeros.w_addr), window.w_data.eq(zeros.w_data), window.w_en.eq(1),
            ]  # fmt: skip
