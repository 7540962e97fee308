#!/usr/bin/env python3
"""Makes docs/results_gemm.md: products of a 4096x4096 matrix of packed weights
and several tokens beside those of LiteRT, which are XNNPACK's, in turns.

  scripts/results_gemm.py [-o FILE]

-o FILE   the page [docs/results_gemm.md]

Needs numpy, ai-edge-litert and flatbuffers (Python packages), and
build/release/bench/kernels_bench, or what KERNELS_BENCH names. Takes six
minutes; nothing else should run.
"""
import json
import os
import re
import statistics
import subprocess
import sys
import time
from pathlib import Path

import flatbuffers
import numpy as np
from ai_edge_litert.interpreter import Interpreter

ROOT = Path(__file__).resolve().parent.parent
BENCH = Path(os.environ.get("KERNELS_BENCH",
                            ROOT / "build/release/bench/kernels_bench"))
SIZE = 4096
TOKENS = (1, 2, 4, 8, 16, 32, 64, 128)
ROUNDS = 3
SECONDS = 0.25
# Bits, group (0: a scale per row), and whether the peer has them.
FORMATS = ((8, 0, True), (4, 0, True), (4, 128, True), (4, 64, True),
           (4, 32, True), (3, 0, False), (3, 64, False), (2, 0, True),
           (2, 64, False), (2, 32, False), (1, 64, False))

# With two threads.
SOME_FORMATS = ((4, 0, True), (4, 64, True), (2, 64, False))

# Numbers of TensorFlow Lite's schema.
FULLY_CONNECTED = 9
FLOAT32, FLOAT16 = 0, 1
INTEGER_OF_BITS = {8: 9, 4: 17, 2: 19}
FULLY_CONNECTED_OPTIONS = 8
BLOCKWISE_QUANTIZATION = 2


class ModelWriter:
    """A .tflite file with one fully connected layer of integer weights and float
    activations, which are quantized when it runs."""

    def __init__(self):
        self.builder = flatbuffers.Builder(1 << 20)

    def table(self, *fields):
        """Fields are (slot, kind, value) with kinds int8, uint8, int32, uint32
        and offset."""
        b = self.builder
        add = {"int8": b.PrependInt8Slot, "uint8": b.PrependUint8Slot,
               "int32": b.PrependInt32Slot, "uint32": b.PrependUint32Slot,
               "offset": b.PrependUOffsetTRelativeSlot}
        b.StartObject(1 + max((slot for slot, _, _ in fields), default=0))
        for slot, kind, value in fields:
            add[kind](slot, value, 0)
        return b.EndObject()

    def array(self, values, dtype):
        return self.builder.CreateNumpyVector(np.array(values, dtype))

    def tables(self, offsets):
        self.builder.StartVector(4, len(offsets), 4)
        for offset in reversed(offsets):
            self.builder.PrependUOffsetTRelative(offset)
        return self.builder.EndVector()

    def tensor(self, shape, kind, buffer, name, quantization=None):
        fields = [(0, "offset", self.array(shape, np.int32)), (1, "int8", kind),
                  (2, "uint32", buffer),
                  (3, "offset", self.builder.CreateString(name))]
        if quantization is not None:
            fields.append((4, "offset", quantization))
        return self.table(*fields)

    def buffer(self, values):
        return self.table((0, "offset", self.builder.CreateNumpyVector(values)))

    def quantization(self, group):
        if group == 0:
            return self.table(
                (2, "offset", self.array(np.full(SIZE, 0.01), np.float32)),
                (3, "offset", self.array(np.zeros(SIZE), np.int64)))
        details = self.table((0, "int32", 3), (2, "int32", group))
        return self.table((4, "uint8", BLOCKWISE_QUANTIZATION),
                          (5, "offset", details))

    def model(self, tokens, bits, group):
        rng = np.random.default_rng(1)
        weights = rng.integers(0, 256, SIZE * SIZE * bits // 8, dtype=np.uint8)
        buffers = [self.table(), self.buffer(weights)]
        tensors = [
            self.tensor([tokens, SIZE], FLOAT32, 0, "x"),
            self.tensor([SIZE, SIZE], INTEGER_OF_BITS[bits], 1, "w",
                        self.quantization(group)),
            self.tensor([tokens, SIZE], FLOAT32, 0, "y")]
        if group != 0:
            scales = np.full(SIZE * (SIZE // group), 0.01, np.float16)
            buffers.append(self.buffer(scales.view(np.uint8)))
            tensors.append(self.tensor([SIZE, SIZE // group], FLOAT16, 2, "s"))
        operator = self.table(
            (1, "offset", self.array([0, 1, -1], np.int32)),
            (2, "offset", self.array([2], np.int32)),
            (3, "uint8", FULLY_CONNECTED_OPTIONS), (4, "offset", self.table()))
        graph = self.table((0, "offset", self.tables(tensors)),
                           (1, "offset", self.array([0], np.int32)),
                           (2, "offset", self.array([2], np.int32)),
                           (3, "offset", self.tables([operator])))
        code = self.table((0, "int8", FULLY_CONNECTED), (2, "int32", 10),
                          (3, "int32", FULLY_CONNECTED))
        self.builder.Finish(
            self.table((0, "uint32", 3), (1, "offset", self.tables([code])),
                       (2, "offset", self.tables([graph])),
                       (4, "offset", self.tables(buffers))), b"TFL3")
        return bytes(self.builder.Output())


class Peer:
    def __init__(self, tokens, bits, group, threads):
        self.interpreter = Interpreter(
            model_content=ModelWriter().model(tokens, bits, group),
            num_threads=threads)
        self.interpreter.allocate_tensors()
        x = np.random.default_rng(2).standard_normal((tokens, SIZE))
        self.interpreter.set_tensor(0, x.astype(np.float32))

    def measure(self):
        times = []
        end = time.perf_counter() + SECONDS
        while (begin := time.perf_counter()) < end or len(times) < 5:
            self.interpreter.invoke()
            times.append(time.perf_counter() - begin)
        return statistics.median(times) * 1e6


class Lutra:
    def __init__(self, tokens, bits, group, threads):
        kind = "gemv" if tokens == 1 else "gemm"
        self.filter = (f"^{kind}/int8/warm/{SIZE}x{SIZE}/bits:{bits}/"
                       f"group:{group or SIZE}/scales:float16/m:{tokens}/"
                       f"threads:{threads}/")
        self.shares = []

    def measure(self):
        run = subprocess.run(
            [BENCH, "--selection=all", f"--benchmark_filter={self.filter}",
             f"--benchmark_min_time={SECONDS}", "--benchmark_format=json"],
            check=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        [row] = json.loads(run.stdout)["benchmarks"]
        self.shares.append(row["limit"])
        return row["us"]


def variant():
    command = ROOT / "build/release/tools/lutra"
    text = subprocess.run([command, "cpu"], check=True, text=True,
                          stdout=subprocess.PIPE).stdout
    return re.search(r"^kernels: ([^, ]+)", text, re.MULTILINE).group(1)


def cpu():
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return "?"


def rows(threads, formats):
    lines = ["| bits | scales | tokens | lutra, us | GOPS | of the peak | "
             "LiteRT, us | times as fast |", "|---|---|---|---|---|---|---|---|"]
    for bits, group, has_peer in formats:
        for tokens in TOKENS:
            own = Lutra(tokens, bits, group, threads)
            peer = Peer(tokens, bits, group, threads) if has_peer else None
            own_times, peer_times = [], []
            for _ in range(ROUNDS):
                own_times.append(own.measure())
                if peer is not None:
                    peer_times.append(peer.measure())
            us = statistics.median(own_times)
            share = f"{statistics.median(own.shares):.0f} %"
            peer_us = statistics.median(peer_times) if peer_times else None
            lines.append(
                f"| {bits} | {f'groups of {group}' if group else 'per row'} | "
                f"{tokens} | {us:.0f} | {2 * SIZE * SIZE * tokens / us * 1e-3:.0f}"
                f" | {share if tokens > 1 else ''} | "
                f"{f'{peer_us:.0f}' if peer_us else ''} | "
                f"{f'{peer_us / us:.2f}' if peer_us else ''} |")
            print(lines[-1], file=sys.stderr, flush=True)
    return "\n".join(lines)


def main():
    arguments = sys.argv[1:]
    if arguments and (len(arguments) != 2 or arguments[0] != "-o"):
        print(__doc__)
        return 0 if arguments[0] in ("-h", "--help") else 2
    result = Path(arguments[1]) if arguments else ROOT / "docs/results_gemm.md"
    page = f"""# Products of several tokens, beside XNNPACK

A {SIZE}x{SIZE} matrix of packed weights by some tokens, from floats to floats: activations become
int8 in both. On {cpu()}, variant {variant()}, by `scripts/results_gemm.py`, which takes LiteRT
(that is, XNNPACK) from Python's packages; the median of {ROUNDS} rounds in which both take turns. The peak
is the variant's int8 product on registers. [kernels.md](kernels.md) explains the figures.

## One thread

{rows(1, FORMATS)}

## Two threads

{rows(2, SOME_FORMATS)}
"""
    temporary = result.with_suffix(".md.new")
    temporary.write_text(page)
    temporary.rename(result)
    return 0


if __name__ == "__main__":
    sys.exit(main())
