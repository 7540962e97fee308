"""Models for other programs."""

import numpy
import pytest

import lutra


def logits(path):
    language = lutra.LanguageModel(path, threads=1, cache="float32")
    return language.score(range(3, 40))


@pytest.fixture
def model(imported):
    return imported("golden/hf/qwen2-bias-tied")


@pytest.mark.parametrize("name, format", [("folder", "huggingface"), ("model.gguf", "gguf")])
def test_models_come_back(model, tmp_path, name, format):
    told = []
    output = tmp_path / name
    report = lutra.export_model(model, output, progress=lambda *args: told.append(args))
    assert report.format == format and report.packed == report.floats == 0
    assert sum(report.types.values()) == (report.tensors if format == "gguf" else 0)
    file = output / "model.safetensors" if output.is_dir() else output
    assert file.stat().st_size == report.file_bytes
    assert len(told) > 0
    again = tmp_path / "again.safetensors"
    lutra.import_model(output, again, threads=1)
    numpy.testing.assert_array_equal(logits(again), logits(model))
    text = "A text, again."
    assert lutra.Tokenizer(again).encode(text) == lutra.Tokenizer(model).encode(text)


def test_packed_weights_stay_packed_where_the_format_holds_them(model, tmp_path):
    packed = tmp_path / "packed.safetensors"
    lutra.pack(model, packed, bits=4, group_size=32, threads=1)
    count = sum(weight.packed for weight in lutra.Model(packed).weights)
    for layout in ("float", "compressed-tensors", "torchao", "mlx"):
        folder = tmp_path / layout
        report = lutra.export_model(packed, folder, layout=layout, tokenizer=False)
        assert report.packed + report.floats == count
        assert not (folder / "tokenizer.json").exists()
        assert report.packed == 0 or layout != "float"
    gguf = lutra.export_model(packed, tmp_path / "model.gguf", layout="float")
    assert gguf.packed == 0 and gguf.floats == count
    with pytest.raises(lutra.Error):
        lutra.export_model(packed, tmp_path / "f", require_packed=True)


@pytest.mark.parametrize(
    "output, options, words",
    [
        ("folder", {"format": "onnx"}, "'onnx'"),
        ("folder", {"layout": "gguf"}, "gguf"),
        ("model.gguf", {"layout": "mlx"}, "'mlx'"),
    ],
)
def test_wrong_options_are_refused(model, tmp_path, output, options, words):
    with pytest.raises(lutra.InvalidArgumentError, match=words):
        lutra.export_model(model, tmp_path / output, **options)
    assert list(tmp_path.iterdir()) == []


def test_models_that_were_not_imported_are_refused(network, tmp_path):
    with pytest.raises(lutra.Error, match="import"):
        lutra.export_model(network[0], tmp_path / "folder")
