"""Classifiers, questions and anomalies."""

import numpy
import pytest

import lutra


def log_probabilities(logits):
    logits = logits.astype("float64")
    return logits - numpy.log(numpy.exp(logits - logits.max(-1, keepdims=True)).sum(
        -1, keepdims=True)) - logits.max(-1, keepdims=True)


def test_classes_are_those_of_the_largest_scores(network):
    path, _, expected = network
    x = numpy.random.default_rng(5).normal(size=(300, 32)).astype("float32")
    labels = expected(x).argmax(1)
    told = []
    right = lutra.classify(path, x, labels, threads=1, progress=lambda *args: told.append(args))
    assert right.classes == labels.tolist()
    assert right.accuracy == 1 and right.correct == 300 and right.seconds > 0
    assert told and all(total == 300 for _, _, total in told)
    labels[:30] = (labels[:30] + 1) % 10
    assert lutra.classify(lutra.Model(path), x, labels.astype("uint8")).accuracy == 0.9


@pytest.mark.parametrize(
    "shape, labels, error",
    [
        ((4, 32), [0, 1, 2], lutra.InvalidArgumentError),
        ((4, 32), [0, 1, 2, 256], lutra.InvalidArgumentError),
        ((4, 32), [0, 1, 2, -1], lutra.InvalidArgumentError),
        ((4, 32), [0, 1, 2, 10], lutra.Error),
        ((4, 31), [0, 1, 2, 3], lutra.Error),
        ((0, 32), [], lutra.InvalidArgumentError),
        ((4, 32), [0.5] * 4, TypeError),
    ],
)
def test_wrong_samples_are_refused(network, shape, labels, error):
    with pytest.raises(error):
        lutra.classify(network[0], numpy.zeros(shape, "float32"), labels)


def test_questions_are_answered_by_likelihood(story):
    questions = [
        {"context": "Once upon a", "choices": [" time", " zebra"], "answer": 0},
        {"context": "Once upon a", "choices": [" zebra", " time"], "answer": 0},
    ]
    score = lutra.multiple_choice(story, questions, threads=1)
    assert (score.questions, score.correct, score.accuracy) == (2, 1, 0.5)
    language = lutra.LanguageModel(story, threads=1)
    nats = 0
    for choice in (" time", " zebra"):
        context = language.tokenizer.encode("Once upon a", prompt=True)
        ids = language.tokenizer.encode("Once upon a" + choice, prompt=True)
        assert ids[: len(context)] == context
        scores = log_probabilities(language.score(ids, sequence=language.new_sequence()))
        nats -= sum(scores[i - 1, ids[i]] for i in range(len(context), len(ids)))
    assert score.nats_per_answer == pytest.approx(nats / 2, rel=1e-3)
    assert score.correct_by_byte == 1 and score.accuracy_by_byte == 0.5


@pytest.mark.parametrize(
    "questions, error, words",
    [
        ([], lutra.InvalidArgumentError, "no questions"),
        (["text"], TypeError, "dict"),
        ([{"choices": ["a"]}], lutra.InvalidArgumentError, "'answer'"),
        ([{"choices": ["a"], "answer": 1}], lutra.Error, "1"),
        ([{"context": "A", "choices": [], "answer": 0}], lutra.Error, "1"),
    ],
)
def test_wrong_questions_are_refused(story, questions, error, words):
    with pytest.raises(error, match=words):
        lutra.multiple_choice(story, questions, threads=1)


@pytest.fixture
def halving(tmp_path):
    """An autoencoder that is wrong by half of what it is given."""
    graph = {
        "inputs": [{"name": "x", "type": "float32", "shape": [8]}],
        "nodes": [{"op": "linear", "inputs": ["x"], "output": "y", "weight": "w"}],
        "outputs": ["y"],
    }
    path = tmp_path / "halving.safetensors"
    lutra.write_model(path, graph, {"w": 0.5 * numpy.eye(8, dtype="float32")})
    return path


def test_anomalies_score_higher(halving):
    random = numpy.random.default_rng(6)
    recordings = [
        (1 + label) * random.normal(size=(windows, 8)).astype("float32")
        for label, windows in ((0, 40), (1, 50), (0, 60), (1, 300))
    ]
    result = lutra.anomalies(halving, recordings, [0, 1, 0, 1], threads=1)
    scores = [numpy.square(r / 2).mean() for r in recordings]
    numpy.testing.assert_allclose(result.scores, scores, rtol=1e-5)
    assert result.auc == 1 and result.normal == pytest.approx((scores[0] + scores[2]) / 2, rel=1e-5)
    assert result.anomalous == pytest.approx((scores[1] + scores[3]) / 2, rel=1e-5)
    assert lutra.anomalies(halving, recordings, [1, 0, 1, 0]).auc == 0
    assert numpy.isnan(lutra.anomalies(halving, recordings, [1] * 4).auc)
    for labels in ([0, 1, 2, 1], [0, 1, 0]):
        with pytest.raises(lutra.InvalidArgumentError, match="label"):
            lutra.anomalies(halving, recordings, labels)
    with pytest.raises(lutra.InvalidArgumentError, match="another shape"):
        lutra.anomalies(halving, [recordings[0], recordings[0][:, :4]], [0, 1])
    with pytest.raises(lutra.InvalidArgumentError, match="no recordings"):
        lutra.anomalies(halving, [], [])
