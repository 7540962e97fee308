#!/usr/bin/env python3
"""Makes docs/results_networks.md: the latency of small networks beside other
engines, one thread, one input at a time, each measured in turn.

  scripts/results_networks.py [DATA]

DATA   folder with kws-mlperf-tiny and ad-mlperf-tiny [../shared/data, or data/
       in LUTRA_TEST_DATA]

Needs numpy, and of the others what is installed: ai-edge-litert, and
onnxruntime with onnx. The command is build/release/tools/lutra, or what LUTRA
names.
"""
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
LUTRA = Path(os.environ.get("LUTRA", ROOT / "build/release/tools/lutra")).resolve()
ROUNDS = 7
SECONDS = 0.5  # of each in a round


def lutra(*arguments):
    return subprocess.run([LUTRA, *map(str, arguments)], check=True,
                          stdout=subprocess.PIPE, text=True).stdout


def median_us(call):
    """The median time of a call, after as long again to warm up."""
    times = []
    end = time.perf_counter() + 2 * SECONDS
    middle = end - SECONDS
    while (begin := time.perf_counter()) < end:
        call()
        if begin > middle:
            times.append(time.perf_counter() - begin)
    return statistics.median(times) * 1e6


class OfLutra:
    def __init__(self, path):
        self.path = path

    def measure(self):
        report = json.loads(lutra("bench", self.path, "-t", 1, "--batch", 1,
                                  "--seconds", SECONDS, "--json"))
        return report["results"][0]["median_us"]


class OfLiteRt:
    def __init__(self, path):
        from ai_edge_litert.interpreter import Interpreter
        self.interpreter = Interpreter(str(path), num_threads=1)
        self.interpreter.allocate_tensors()
        given = self.interpreter.get_input_details()[0]
        x = np.random.default_rng(1).standard_normal(given["shape"])
        if given["dtype"] == np.int8:
            x = np.clip(x * 40, -127, 127)
        self.interpreter.set_tensor(given["index"], x.astype(given["dtype"]))

    def measure(self):
        return median_us(self.interpreter.invoke)


class OfOnnxRuntime:
    """Layers of these widths, with random weights."""

    def __init__(self, widths):
        import onnx
        import onnxruntime
        from onnx import TensorProto, helper, numpy_helper
        rng = np.random.default_rng(1)
        nodes, weights, value = [], [], "x"
        for i, (k, n) in enumerate(zip(widths, widths[1:])):
            w = rng.standard_normal((n, k)).astype(np.float32) / k**0.5
            weights.append(numpy_helper.from_array(w, f"w{i}"))
            weights.append(numpy_helper.from_array(np.zeros(n, np.float32), f"b{i}"))
            nodes.append(helper.make_node("Gemm", [value, f"w{i}", f"b{i}"],
                                          [f"y{i}"], transB=1))
            value = f"y{i}"
            if i + 2 < len(widths):
                nodes.append(helper.make_node("Relu", [value], [f"r{i}"]))
                value = f"r{i}"
        graph = helper.make_graph(
            nodes, "mlp",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, widths[0]])],
            [helper.make_tensor_value_info(value, TensorProto.FLOAT, [1, widths[-1]])],
            weights)
        model = helper.make_model(graph, ir_version=9,
                                  opset_imports=[helper.make_opsetid("", 17)])
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(
            model.SerializeToString(), options, ["CPUExecutionProvider"])
        self.input = {"x": rng.standard_normal((1, widths[0])).astype(np.float32)}

    def measure(self):
        return median_us(lambda: self.session.run(None, self.input))


def engines(rows, name, make):
    """Adds an engine that is installed."""
    try:
        rows.append((name, make()))
    except ImportError as error:
        print(f"{name}: left out ({error})", file=sys.stderr)


def rows_of(work, name, floats, int8, lite_floats):
    """A network in float and with few bits, from the files of either."""
    float_model = work / f"{name}.safetensors"
    int8_model = work / f"{name}8.safetensors"
    lutra("import", floats, "-o", float_model)
    lutra("import", int8, "-o", int8_model)
    rows = [("lutra, float32", OfLutra(float_model)),
            ("lutra, the int8 file", OfLutra(int8_model))]
    for bits in (4, 2):
        packed = work / f"{name}-{bits}.safetensors"
        lutra("pack", float_model, "--bits", bits, "-o", packed)
        rows.append((f"lutra, {bits} bits", OfLutra(packed)))
    engines(rows, "LiteRT, float32 (XNNPACK)", lambda: OfLiteRt(lite_floats))
    engines(rows, "LiteRT, int8 (XNNPACK)", lambda: OfLiteRt(int8))
    return rows


def keyword_spotter(data, work):
    folder = data / "kws-mlperf-tiny"
    return rows_of(work, "kws", folder, folder / "kws_ref_model.tflite",
                   folder / "kws_ref_model_float32.tflite")


def autoencoder(data, work):
    floats = data / "ad-mlperf-tiny" / "ad01_fp32.tflite"
    rows = rows_of(work, "ad", floats, floats.with_name("ad01_int8.tflite"), floats)
    widths = [640, *[128] * 4, 8, *[128] * 4, 640]
    engines(rows, "onnxruntime, float32, random weights", lambda: OfOnnxRuntime(widths))
    return rows


def table(rows):
    times = {name: [] for name, _ in rows}
    for _ in range(ROUNDS):
        for name, engine in rows:
            times[name].append(engine.measure())
    medians = {name: statistics.median(each) for name, each in times.items()}
    others = [us for name, us in medians.items() if not name.startswith("lutra")]
    best = min(others, default=None)
    lines = ["| engine | us | times as fast as the best other |", "|---|---|---|"]
    for name, us in medians.items():
        ratio = f"{best / us:.2f}" if best and name.startswith("lutra") else ""
        lines.append(f"| {name} | {us:.1f} | {ratio} |")
    return "\n".join(lines)


def cpu():
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def main():
    if len(sys.argv) > 2 or any(a in ("-h", "--help") for a in sys.argv[1:]):
        print(__doc__)
        return 0 if len(sys.argv) == 2 else 2
    shared = Path(os.environ.get("LUTRA_TEST_DATA", ROOT.parent / "shared"))
    data = Path(sys.argv[1]) if len(sys.argv) == 2 else shared / "data"
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        kws = keyword_spotter(data, work)
        ad = autoencoder(data, work)
        page = f"""# Small networks

Latency of networks of MLPerf Tiny, one input at a time on one thread, on {cpu()}: the median of {ROUNDS} rounds in which
the engines take turns, each a median over {SECONDS} seconds. Made by `scripts/results_networks.py`, which takes LiteRT and onnxruntime from
Python's packages.

## Keyword spotter (DS-CNN, 22,604 parameters)

{table(kws)}

Where its time goes at 4 bits, by `lutra profile`:

{lutra("profile", work / "kws-4.safetensors", "-t", 1, "-r", 200, "--format", "markdown").split(chr(10) * 2)[0]}

## Anomaly detection (autoencoder of 10 layers, 265,864 parameters)

{table(ad)}
"""
    result = ROOT / "docs/results_networks.md"
    temporary = result.with_suffix(".md.new")
    temporary.write_text(page)
    temporary.rename(result)
    print(page)
    return 0


if __name__ == "__main__":
    sys.exit(main())
