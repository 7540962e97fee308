#!/usr/bin/env python3
"""Writes tests/data/onnx/: graphs of one operator, and what the reference
evaluator of the onnx package gives for random inputs. README.md beside this
says with which version."""

import json
import pathlib

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

SEED = 27
OUT = pathlib.Path(__file__).parent / "onnx"
OPSET = 21
BATCH = 3

random = np.random.default_rng(SEED)


def normal(*shape):
    return random.standard_normal(shape).astype(np.float32)


def int4(values):
    """Codes from -8 to 7 as ONNX packs them, the first in the low bits."""
    codes = (values.flatten() & 15).astype(np.uint8)
    packed = codes[::2] | (codes[1::2] << 4)
    return helper.make_tensor("codes", TensorProto.INT4, values.shape,
                              packed.tobytes(), raw=True)


def write(name, nodes, input_shape, output_shape, constants=()):
    """`input_shape` is of one row of a batch."""
    initializers = [c if isinstance(c, TensorProto) else
                    numpy_helper.from_array(*c) for c in constants]
    graph = helper.make_graph(
        nodes, name,
        [helper.make_tensor_value_info("x", TensorProto.FLOAT,
                                       ["N", *input_shape])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT,
                                       ["N", *output_shape])], initializers)
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=10)
    onnx.checker.check_model(model)
    folder = OUT / name
    folder.mkdir(parents=True, exist_ok=True)
    onnx.save(model, folder / "model.onnx")
    x = normal(BATCH, *input_shape)
    y = ReferenceEvaluator(model).run(None, {"x": x})[0]
    assert y.shape == (BATCH, *output_shape) and y.dtype == np.float32, y.shape
    np.save(folder / "in0_x.npy", x)
    np.save(folder / "out0_y.npy", y)
    (folder / "meta.json").write_text(json.dumps(
        {"onnx": onnx.__version__, "seed": SEED, "sets": 1,
         "tolerance": {"abs": 1e-6, "rel": 1e-5}}, indent=1) + "\n")


def node(operator, inputs, output="y", **attributes):
    return helper.make_node(operator, inputs, [output], **attributes)


def main():
    write("gemm", [node("Gemm", ["x", "w", "b"], transB=1, alpha=0.5)],
          [12], [5], [(normal(5, 12), "w"), (normal(5), "b")])
    write("conv", [node("Conv", ["x", "w", "b"], kernel_shape=[3, 2],
                        strides=[2, 1], pads=[1, 0, 1, 1])],
          [3, 7, 6], [4, 4, 6], [(normal(4, 3, 3, 2), "w"), (normal(4), "b")])
    write("conv_depthwise", [node("Conv", ["x", "w"], kernel_shape=[3, 3],
                                  group=4, pads=[1, 1, 1, 1])],
          [4, 5, 5], [4, 5, 5], [(normal(4, 1, 3, 3), "w")])
    write("max_pool", [node("MaxPool", ["x"], kernel_shape=[2, 3],
                            strides=[2, 2], pads=[0, 1, 0, 0])],
          [3, 6, 6], [3, 3, 3])
    write("average_pool", [node("AveragePool", ["x"], kernel_shape=[2, 2],
                                strides=[2, 2])], [3, 6, 6], [3, 3, 3])
    write("layer_normalization",
          [node("LayerNormalization", ["x", "w", "b"], epsilon=1e-5)],
          [10], [10], [(normal(10), "w"), (normal(10), "b")])
    write("softmax", [node("Softmax", ["x"], axis=-1)], [9], [9])
    for name in ("none", "tanh"):
        write("gelu_" + name, [node("Gelu", ["x"], approximate=name)],
              [16], [16])
    write("dequantize_int4",
          [node("DequantizeLinear", ["codes", "scales"], "w", axis=0,
                block_size=16), node("MatMul", ["x", "w"])],
          [32], [6], [int4(random.integers(-8, 8, (32, 6))),
                      (np.abs(normal(2, 6)), "scales")])


main()
