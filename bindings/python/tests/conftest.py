"""What the tests share: recorded vectors, a small language model, a network."""

import json
import os
import pathlib
import signal
import struct
import threading

import numpy
import pytest

import lutra

TYPES = {"F64": "<f8", "F32": "<f4", "I64": "<i8", "I32": "<i4", "U8": "u1", "I8": "i1"}


def read_safetensors(path):
    """The metadata and the arrays of a file, without lutra."""
    data = path.read_bytes()
    (size,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + size])
    metadata = header.pop("__metadata__", {})
    arrays = {}
    for name, info in header.items():
        begin, end = (8 + size + offset for offset in info["data_offsets"])
        arrays[name] = numpy.frombuffer(data[begin:end], TYPES[info["dtype"]]).reshape(
            info["shape"]
        )
    return metadata, arrays


@pytest.fixture(scope="session")
def test_data():
    """A function from a name to a path of the test data."""

    def find(name):
        path = pathlib.Path(os.environ.get("LUTRA_TEST_DATA", "/nowhere")) / name
        if not path.exists():
            pytest.skip(f"LUTRA_TEST_DATA has no {name}")
        return path

    return find


@pytest.fixture(scope="session")
def imported(test_data, tmp_path_factory):
    """A function from a checkpoint of the test data to a model file."""
    made = {}

    def get(name):
        if name not in made:
            path = tmp_path_factory.mktemp("imported") / "model.safetensors"
            lutra.import_model(test_data(name), path, threads=1)
            made[name] = path
        return made[name]

    return get


@pytest.fixture
def story(imported):
    """A small model of stories."""
    return imported("data/stories260k/stories260K.bin")


@pytest.fixture
def control_c():
    """A function that sends SIGINT soon, also where the process was started to
    ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    timer = threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT))
    yield timer.start
    timer.cancel()
    signal.signal(signal.SIGINT, before)


GRAPH = {
    "inputs": [{"name": "x", "type": "float32", "shape": [32]}],
    "nodes": [
        {"op": "linear", "inputs": ["x"], "output": "a",
         "weight": "fc1.weight", "bias": "fc1.bias"},
        {"op": "relu", "inputs": ["a"], "output": "b"},
        {"op": "linear", "inputs": ["b"], "output": "y", "weight": "fc2.weight"},
    ],
    "outputs": ["y"],
}


@pytest.fixture
def network(tmp_path):
    """A file of two layers, and what it computes."""
    random = numpy.random.default_rng(1)
    tensors = {
        "fc1.weight": random.normal(size=(48, 32)).astype("float32"),
        "fc1.bias": random.normal(size=48).astype("float32"),
        "fc2.weight": random.normal(size=(10, 48)).astype("float32"),
    }
    path = tmp_path / "network.safetensors"
    lutra.write_model(path, GRAPH, tensors)

    def expected(x):
        hidden = numpy.maximum(x @ tensors["fc1.weight"].T + tensors["fc1.bias"], 0)
        return hidden @ tensors["fc2.weight"].T

    return path, tensors, expected
