"""Import, packing, calibration and perplexity."""

import threading

import numpy
import pytest

import lutra
from conftest import GRAPH


@pytest.fixture(scope="session")
def text(test_data):
    return test_data("data/tinystories/tinystories_val.txt").read_text()[:20000]


def test_weights_are_packed(network, tmp_path):
    path, tensors, expected = network
    packed = tmp_path / "packed.safetensors"
    report = lutra.pack(
        path, packed, bits=4, group_size=16, rules=["fc2=bits:2"], exclude=["nothing"], threads=1
    )
    assert [w.method for w in report.weights] == ["post-training"] * 2
    assert 2 < report.bits_per_weight < 9 and report.unused_rules == ["nothing"]
    assert f"{report.bits_per_weight:.3f} bits each" in repr(report)
    model = lutra.Model(packed)
    assert all(w.packed for w in model.weights)
    error = numpy.abs(model.weight("fc1.weight") - tensors["fc1.weight"]).max()
    assert error == pytest.approx(report.weights[0].max_error, rel=1e-5)
    x = numpy.random.default_rng(3).normal(size=(4, 32)).astype("float32")
    y = lutra.Session(model, activations="float32", threads=1).run(x)
    assert 0 < numpy.abs(y - expected(x)).max() < numpy.abs(expected(x)).max()
    with pytest.raises(lutra.NotFoundError):
        lutra.Model(path).weight("fc1.weight")


def test_data_makes_outputs_better(network, tmp_path):
    x = numpy.random.default_rng(3).normal(size=(256, 32)).astype("float32")
    x[:, ::2] *= 8
    packed = tmp_path / "packed.safetensors"

    def output_error(**options):
        lutra.pack(network[0], packed, bits=3, group_size=16, threads=1, **options)
        y = lutra.Session(packed, activations="float32", threads=1).run(x)
        return numpy.square(y - network[2](x)).mean()

    plain = output_error()
    assert output_error(data=x) < plain
    statistics = tmp_path / "statistics"
    assert lutra.calibrate(network[0], statistics, x, threads=1).rows == 256
    assert output_error(calibration=statistics) < plain


def test_perplexity_is_that_of_the_command(story, text, tmp_path):
    score = lutra.perplexity(story, text, threads=1)
    assert 3 < score.perplexity < 6 and score.kl_divergence is None
    packed = tmp_path / "packed.safetensors"
    lutra.pack(story, packed, bits=3, group_size=32, data=[text], samples=8, threads=1)
    other = lutra.perplexity(packed, text, reference=story, threads=1)
    assert score.perplexity < other.perplexity < 3 * score.perplexity
    assert other.kl_divergence > 0 and 0 < other.same_top < 1


def test_progress_is_told_on_the_callers_thread(story, tmp_path):
    told = []

    def progress(what, done, total):
        told.append((what, done <= total, threading.get_ident()))

    lutra.pack(story, tmp_path / "packed", bits=2, threads=2, progress=progress)
    assert told and {ident for _, _, ident in told} == {threading.get_ident()}
    with pytest.raises(ZeroDivisionError):
        lutra.pack(story, tmp_path / "ended", bits=2, progress=lambda *_: 1 / 0)


def test_control_c_ends_packing_and_leaves_nothing(story, text, tmp_path, control_c):
    control_c()
    with pytest.raises(KeyboardInterrupt):
        while True:
            lutra.pack(story, tmp_path / "packed", bits=2, data=[text], threads=1)
            (tmp_path / "packed").unlink()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "options, error",
    [
        ({"bits": 9}, lutra.InvalidArgumentError),
        ({"bits": "two"}, TypeError),
        ({"group_size": 0}, lutra.InvalidArgumentError),
        ({"quantizer": "strached"}, lutra.InvalidArgumentError),
        ({"bits": 2, "preset": "int4w"}, lutra.InvalidArgumentError),
        ({"rules": ["fc1=bitz:2"]}, lutra.InvalidArgumentError),
        ({"rounding": "none"}, lutra.InvalidArgumentError),
        ({"data": numpy.zeros((4, 31), "float32"), "bits": 2}, lutra.Error),
        ({"calibration": "/nowhere"}, lutra.NotFoundError),
        ({"spec": {"weights": {"dtype": "int99"}}}, lutra.Error),
    ],
)
def test_wrong_options_are_refused(network, tmp_path, options, error):
    with pytest.raises(error):
        lutra.pack(network[0], tmp_path / "packed.safetensors", **options)
    assert not (tmp_path / "packed.safetensors").exists()


def test_sources_that_are_none_are_refused(tmp_path):
    with pytest.raises(lutra.Error, match="no known kind|folder"):
        lutra.import_model(tmp_path, tmp_path / "out")
    with pytest.raises(lutra.NotFoundError):
        lutra.import_model(tmp_path / "gone", tmp_path / "out")
    with pytest.raises(lutra.InvalidArgumentError, match="gguf"):
        lutra.import_model(tmp_path, tmp_path / "out", format="ggfu")


def test_trained_weights_are_packed_without_loss(network, tmp_path):
    tensors = dict(network[1])
    quantizer = lutra.qat.Quantizer("stretched")
    for name in ("fc1.weight", "fc2.weight"):
        tensors[name] = quantizer.quantize(tensors[name], 2, per_row=True)[0]
    scheme = {"quantizer": "stretched", "bits": 2, "group_size": 0}
    path = tmp_path / "trained.safetensors"
    lutra.write_model(path, GRAPH, tensors, schemes={n: scheme for n in ("fc1.weight", "fc2.weight")})
    report = lutra.pack(path, tmp_path / "packed", threads=1)
    assert [(w.method, w.max_error) for w in report.weights] == [("trained", 0.0)] * 2
    packed = lutra.Model(tmp_path / "packed")
    numpy.testing.assert_array_equal(packed.weight("fc1.weight"), tensors["fc1.weight"])
