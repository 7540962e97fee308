"""Models, sessions and arrays."""

import gc
import json
import struct
import threading

import numpy
import pytest

import lutra
from conftest import GRAPH


def rows(count, seed=2):
    return numpy.random.default_rng(seed).normal(size=(count, 32)).astype("float32")


def test_a_model_says_what_it_is(network):
    path, tensors, _ = network
    model = lutra.Model(path)
    assert model.path == str(path)
    assert [(v.name, v.dtype, v.shape) for v in model.inputs] == [("x", "float32", (32,))]
    assert [v.shape for v in model.outputs] == [(10,)]
    assert {t.name: t.shape for t in model.tensors} == {
        name: array.shape for name, array in tensors.items()
    }
    assert [(w.name, w.rows, w.packed) for w in model.weights] == [
        ("fc1.weight", 48, False),
        ("fc2.weight", 10, False),
    ]
    assert model.metadata["lutra.version"] == "1"


def test_tensors_outlive_their_model(network):
    path, tensors, _ = network
    view = lutra.Model(path).tensor("fc1.bias")
    gc.collect()
    assert not view.flags.writeable
    numpy.testing.assert_array_equal(view, tensors["fc1.bias"])


@pytest.mark.parametrize("storage", ["mmap", "copy", "huge-pages"])
def test_a_session_computes(network, storage):
    path, _, expected = network
    session = lutra.Session(lutra.Model(path, storage=storage, verify=True), threads=1)
    x = rows(5)
    y = session.run(x)
    assert y.shape == (5, 10) and y.dtype == numpy.float32
    numpy.testing.assert_allclose(y, expected(x), rtol=1e-4, atol=1e-4)
    numpy.testing.assert_array_equal(session.run({"x": x}), y)
    numpy.testing.assert_array_equal(session.run(x, last=True), y[-1])
    assert session.position == 15


def test_an_adapter_lies_beside_the_weights(network, tmp_path):
    path, tensors, _ = network
    random = numpy.random.default_rng(3)
    # The layer that gives the output.
    a = random.normal(size=(4, 48)).astype("float32")
    b = random.normal(size=(10, 4)).astype("float32")
    header = json.dumps({
        f"base_model.model.fc2.lora_{name}.weight": {
            "dtype": "F32", "shape": array.shape, "data_offsets": [begin, begin + array.nbytes]}
        for name, array, begin in (("A", a, 0), ("B", b, a.nbytes))
    })
    header += " " * (-len(header) % 8)
    (tmp_path / "adapter_model.safetensors").write_bytes(
        struct.pack("<Q", len(header)) + header.encode() + a.tobytes() + b.tobytes())
    (tmp_path / "adapter_config.json").write_text(
        json.dumps({"peft_type": "LORA", "r": 4, "lora_alpha": 8}))
    x = rows(3)
    plain = lutra.Session(path, threads=1).run(x)
    session = lutra.Session(lutra.Model(path, adapter=tmp_path), threads=1)
    hidden = numpy.maximum(x @ tensors["fc1.weight"].T + tensors["fc1.bias"], 0)
    numpy.testing.assert_allclose(
        session.run(x), plain + 2 * (hidden @ a.T) @ b.T, rtol=1e-3, atol=1e-2)
    again = tmp_path / "again"
    report = lutra.export_adapters(lutra.Model(path, adapter=tmp_path), again)
    assert (report.adapters, report.rank, report.alpha) == (1, 4, 8)
    numpy.testing.assert_array_equal(
        lutra.Session(lutra.Model(path, adapter=again), threads=1).run(x), session.run(x))
    with pytest.raises(lutra.Error, match="adapter"):
        lutra.export_adapters(path, tmp_path / "none")
    with pytest.raises(lutra.NotFoundError, match="adapter_config.json"):
        lutra.Model(path, adapter=tmp_path / "none")


def test_layouts_are_converted_or_written_in_place(network):
    path, _, _ = network
    session = lutra.Session(path, threads=2)
    x = rows(6)
    y = session.run(x)
    frozen = x.copy()
    frozen.flags.writeable = False
    for same in (frozen, numpy.asfortranarray(x), rows(12).repeat(1, 0)[:0], x.tolist()):
        if len(same):
            numpy.testing.assert_array_equal(session.run(same), y)
    wide = numpy.zeros((12, 64), "float32")
    wide[::2, ::2] = x
    numpy.testing.assert_array_equal(session.run(wide[::2, ::2]), y)
    out = numpy.zeros((6, 10), "float32")
    assert session.run(x, out=out) is out
    numpy.testing.assert_array_equal(out, y)


@pytest.mark.parametrize(
    "x, error, words",
    [
        (numpy.zeros((2, 31), "float32"), lutra.InvalidArgumentError, r"\(rows, 32\), not \(2, 31\)"),
        (numpy.zeros(32, "float32"), lutra.InvalidArgumentError, r"not \(32,\)"),
        (numpy.zeros((2, 32)), TypeError, "takes float32, not float64"),
        (numpy.zeros((2, 32), "complex64"), TypeError, "complex64"),
        (numpy.zeros((2, 32), "int32"), TypeError, "int32"),
        ("a word", TypeError, "float32"),
        (None, TypeError, "inputs"),
        ([["a"] * 32], (TypeError, ValueError), None),
        ({"z": numpy.zeros((2, 32), "float32")}, lutra.InvalidArgumentError, "'x' is missing"),
        (numpy.zeros((0, 32), "float32"), lutra.InvalidArgumentError, None),
    ],
)
def test_wrong_inputs_are_refused(network, x, error, words):
    session = lutra.Session(network[0], threads=1)
    with pytest.raises(error, match=words):
        session.run(x)
    assert session.position == 0


def test_wrong_outputs_are_refused(network):
    session = lutra.Session(network[0], threads=1)
    frozen = numpy.zeros((3, 10), "float32")
    frozen.flags.writeable = False
    for out in (frozen, numpy.zeros((3, 10)), numpy.zeros((3, 20), "float32")[:, ::2]):
        with pytest.raises(TypeError, match="writable, contiguous"):
            session.run(rows(3), out=out)
    with pytest.raises(ValueError, match=r"\(3, 10\)"):
        session.run(rows(3), out=numpy.zeros((2, 10), "float32"))


def test_errors_are_of_classes_of_their_own(tmp_path):
    with pytest.raises(lutra.NotFoundError, match="nothing") as missing:
        lutra.Model(tmp_path / "nothing")
    assert isinstance(missing.value, (lutra.Error, FileNotFoundError))
    damaged = tmp_path / "damaged"
    damaged.write_bytes(b"\xff" * 64)
    with pytest.raises(lutra.DamagedError):
        lutra.Session(damaged)
    with pytest.raises(lutra.InvalidArgumentError, match="'int8'"):
        lutra.Session(damaged, activations="int9")
    with pytest.raises(ValueError, match="mmap"):
        lutra.Model(damaged, storage="tape")
    with pytest.raises(TypeError):
        lutra.Model(7)
    with pytest.raises(lutra.NotFoundError, match="operator|directory"):
        lutra.write_model(tmp_path / "no" / "folder", GRAPH, {})


def test_what_is_no_model_is_not_written(tmp_path, network):
    path = tmp_path / "bad.safetensors"
    tensors = dict(network[1])
    with pytest.raises(TypeError, match="fc1.bias.*float32"):
        lutra.write_model(path, GRAPH, {**tensors, "fc1.bias": numpy.zeros(48)})
    del tensors["fc2.weight"]
    with pytest.raises(lutra.Error, match="fc2.weight"):
        lutra.write_model(path, GRAPH, tensors)
    assert list(tmp_path.glob("bad*")) == []


def test_two_sessions_run_at_the_same_time(network):
    model = lutra.Model(network[0])
    x = rows(64)
    y = lutra.Session(model, threads=1).run(x)
    same = []

    def work():
        session = lutra.Session(model, threads=2)
        same.append(all((session.run(x) == y).all() for _ in range(50)))

    workers = [threading.Thread(target=work) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert same == [True, True]


def test_a_cancelled_session_says_so(network):
    session = lutra.Session(network[0], threads=1)
    session.cancel()
    with pytest.raises(lutra.CancelledError):
        session.run(rows(1))
    session.run(rows(1))
