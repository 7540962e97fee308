"""Tokenizers, generation, sequences and conversations."""

import json
import threading
import time

import numpy
import pytest

import lutra
from conftest import read_safetensors


@pytest.fixture
def language(story):
    return lutra.LanguageModel(story, threads=1)


def test_logits_and_tokens_are_those_of_transformers(imported, test_data):
    folder = "golden/hf/qwen2-bias-tied"
    language = lutra.LanguageModel(imported(folder), threads=1, cache="float32")
    _, golden = read_safetensors(test_data(folder) / "golden.safetensors")
    logits = language.score(golden["ids"], sequence=language.new_sequence())
    numpy.testing.assert_allclose(logits, golden["logits"], atol=2e-4)
    generation = language.generate(golden["ids"][:8], max_tokens=24, temperature=0, ignore_end=True)
    list(generation)
    assert generation.tokens == golden["greedy_from_first_8"].tolist()
    for sample in json.loads((test_data(folder) / "golden_tokens.json").read_text())["samples"]:
        assert language.tokenizer.encode(sample["text"]) == sample["ids"]
        assert language.tokenizer.decode(sample["ids"]) == sample["decoded"]


def test_a_text_is_an_iterator(language):
    generation = language.generate("Once upon a time", max_tokens=30, temperature=0)
    assert generation.end is None and generation.tokens == []
    pieces = list(generation)
    assert len(pieces) > 10 and all(pieces)
    assert "".join(pieces).startswith(", there was")
    assert generation.end == "length" and len(generation.tokens) == 30
    assert len(language.sequence) == generation.prompt_tokens + 30
    assert list(generation) == []


def test_one_seed_gives_one_text(language):
    def text(seed, **options):
        sequence = language.new_sequence()
        return "".join(language.generate("A", seed=seed, max_tokens=40, sequence=sequence, **options))

    assert text(1) == text(1) != text(2)
    assert "." not in text(1, stop=".") and "e" not in text(1, stop=["e", "a"])
    assert text(1, grammar='root ::= [0-9]{4}').isdigit()
    assert json.loads(text(1, json_schema={"enum": ["yes", "no"]})) in ("yes", "no")


@pytest.fixture
def packed(story, tmp_path):
    """A function from a number of bits to a LanguageModel of them."""

    def make(bits):
        path = tmp_path / f"packed{bits}.safetensors"
        lutra.pack(story, path, bits=bits, group_size=32, threads=1)
        return lutra.LanguageModel(path, threads=1)

    return make


@pytest.mark.parametrize(
    "options",
    [{}, {"temperature": 0}, {"stop": "."}, {"grammar": "root ::= ([a-m]{1,4} \" \")*"}],
)
def test_guesses_change_nothing_but_the_time(packed, options):
    language, draft = packed(4), packed(3)
    draft.feed([5, 6])
    before = draft.sequence.tokens
    prompt = "Lily had a cat. Lily had a"

    def text(**guesses):
        sequence = language.new_sequence()
        generation = language.generate(
            prompt, seed=7, max_tokens=60, sequence=sequence, **options, **guesses)
        pieces = []
        for piece in generation:
            pieces.append(piece)
            # Nothing is left of guesses.
            assert len(sequence) - sequence.position in (0, 1)
        return generation, ("".join(pieces), generation.tokens, generation.end, sequence.tokens)

    alone, expected = text()
    assert alone.guessed_tokens == alone.accepted_tokens == 0
    for guesses in ({"draft": draft}, {"draft": draft, "draft_tokens": 1}, {"prompt_lookup": True}):
        generation, result = text(**guesses)
        assert result == expected, guesses
        if "draft" in guesses and options.get("temperature") == 0:
            assert 0 < generation.accepted_tokens <= generation.guessed_tokens
    assert draft.sequence.tokens == before


def test_a_guessed_text_can_be_left_and_gone_on_with(packed):
    language, draft = packed(4), packed(3)

    def ids(steps, **guesses):
        sequence = language.new_sequence()
        generation = language.generate("Once", temperature=0, sequence=sequence, **guesses)
        for _ in range(steps):
            next(generation)
        fork = sequence.fork()
        for s in (sequence, fork):
            list(language.generate(temperature=0, max_tokens=50 - len(s), sequence=s))
        assert fork.tokens == sequence.tokens
        return sequence.tokens

    assert ids(3, draft=draft) == ids(3)


def test_two_models_are_each_others_drafts(packed):
    models = packed(4), packed(3)
    texts = [[], []]

    def work(own):
        for _ in range(5):
            generation = models[own].generate(
                "A", temperature=0, max_tokens=40, sequence=models[own].new_sequence(),
                draft=models[1 - own])
            texts[own].append("".join(generation))

    workers = [threading.Thread(target=work, args=(own,)) for own in (0, 1)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
        assert not worker.is_alive()
    assert [len(set(own)) for own in texts] == [1, 1]


def test_wrong_drafts_are_refused(language, imported):
    with pytest.raises(lutra.InvalidArgumentError, match="its own draft"):
        language.generate("A", draft=language)
    with pytest.raises(TypeError, match="LanguageModel"):
        language.generate("A", draft=1)
    with pytest.raises(lutra.InvalidArgumentError, match="not both"):
        language.generate("A", draft=language, prompt_lookup=True)
    with pytest.raises(lutra.InvalidArgumentError, match="1 to 64"):
        language.generate("A", prompt_lookup=True, draft_tokens=0)
    other = lutra.LanguageModel(imported("golden/hf/qwen2-bias-tied"), threads=1)
    with pytest.raises(lutra.Error):
        language.generate("A", draft=other)


def test_texts_go_on_in_parts(language):
    options = {"temperature": 0, "max_tokens": 10}
    parts = "".join(language.generate("Once upon a time", **options))
    parts += "".join(language.generate(**options))
    sequence = language.new_sequence()
    whole = language.generate("Once upon a time", temperature=0, max_tokens=20, sequence=sequence)
    assert parts == "".join(whole)
    assert language.sequence.tokens == sequence.tokens


def test_sequences_fork_shorten_and_come_back(language):
    sequence = language.sequence
    ids = language.tokenizer.encode("Lily and Tom went", prompt=True)
    expected = language.feed(ids)
    fork = sequence.fork()
    other = language.feed([5, 6], sequence=fork)
    fork.truncate(len(ids) - 1)
    numpy.testing.assert_array_equal(language.feed(ids[-1:], sequence=fork), expected)
    back = language.restore(fork.save(), fork.tokens)
    numpy.testing.assert_array_equal(language.feed([5, 6], sequence=back), other)
    assert sequence.keep_prefix(ids[:3] + [1]) == 3 and len(sequence) == 3
    assert fork.nbytes > 0
    language.sequence = back
    assert language.sequence is back
    with pytest.raises(lutra.Error, match="fewer"):
        back.truncate(999)
    with pytest.raises(lutra.DamagedError):
        language.restore(b"\0" * 100, [])
    with pytest.raises(lutra.InvalidArgumentError, match="tokens"):
        language.restore(fork.save(), [1])


def test_sequences_share_a_call(story, tmp_path):
    packed = tmp_path / "packed.safetensors"
    lutra.pack(story, packed, bits=4, group_size=32, threads=1)
    language = lutra.LanguageModel(packed, threads=1)
    prompts = [[1, 5, 9], [1, 7], list(range(3, 203))]
    alone = [language.feed(ids, sequence=language.new_sequence()) for ids in prompts]
    sequences = [language.new_sequence() for _ in prompts]
    numpy.testing.assert_array_equal(language.feed_all(list(zip(sequences, prompts))), alone)
    fork = sequences[0].fork()
    again = language.feed_all([(sequence, [11]) for sequence in sequences])
    numpy.testing.assert_array_equal(again[0], language.feed([11], sequence=fork))
    assert [s.position for s in sequences] == [len(ids) + 1 for ids in prompts]

    fed = [s.tokens for s in sequences]
    other = lutra.LanguageModel(packed, threads=1).sequence
    for wrong, words in [
        ([], "no sequences"),
        ([(sequences[0], [4]), (sequences[1], [])], "no ids for sequence 1"),
        ([(sequences[0], [4]), (sequences[1], [512])], "vocabulary"),
        ([(sequences[0], [4]), (sequences[1], [4] * 600)], "do not fit"),
        ([(sequences[0], [4]), (sequences[0], [5])], "in use"),
        ([(sequences[0], [4]), (other, [5])], "another LanguageModel"),
    ]:
        with pytest.raises(lutra.Error, match=words):
            language.feed_all(wrong)
        assert [s.tokens for s in sequences] == fed
    with pytest.raises(TypeError):
        language.feed_all([1])


@pytest.mark.parametrize(
    "ids, error",
    [
        ([512], lutra.InvalidArgumentError),
        ([-1], lutra.InvalidArgumentError),
        ([2**40], lutra.InvalidArgumentError),
        ([], lutra.InvalidArgumentError),
        ([1.0], TypeError),
        ("text", TypeError),
        ([[1, 2], [3, 4]], lutra.InvalidArgumentError),
        (numpy.zeros(513, "int64"), lutra.ContextFullError),
    ],
)
def test_wrong_ids_are_refused_and_nothing_is_fed(language, ids, error):
    with pytest.raises(error):
        language.feed(ids)
    assert language.sequence.tokens == [] and language.sequence.position == 0


def test_wrong_uses_are_refused(language, story, network):
    with pytest.raises(lutra.Error, match="another LanguageModel"):
        language.feed([1], sequence=lutra.LanguageModel(story).sequence)
    with pytest.raises(TypeError):
        language.generate("A", sequence=1)
    with pytest.raises(ValueError, match="temperature"):
        language.generate("A", temperature=-1)
    with pytest.raises(TypeError):
        language.generate("A", max_tokens=-1)
    with pytest.raises(lutra.Error):
        lutra.LanguageModel(network[0])
    with pytest.raises(lutra.NotFoundError, match="tokenizer"):
        lutra.Tokenizer(network[0])
    with pytest.raises(lutra.NotFoundError, match="chat template"):
        language.chat([{"role": "user", "content": "Hi"}])
    with pytest.raises(UnicodeEncodeError):
        next(language.generate("\ud800"))
    generation = language.generate("A")
    next(generation)
    language.feed([5])
    with pytest.raises(lutra.Error, match="changed"):
        next(generation)


def test_generations_outlive_their_model_and_can_be_closed(story):
    generation = lutra.LanguageModel(story, threads=1).generate("A", max_tokens=5, temperature=0)
    assert len("".join(generation)) > 0
    generation = lutra.LanguageModel(story, threads=1).generate("A")
    next(generation)
    generation.close()
    assert list(generation) == []


def test_threads_take_turns(language):
    texts = []

    def work():
        generation = language.generate("A", max_tokens=60, seed=3, sequence=language.new_sequence())
        texts.append("".join(generation))

    workers = [threading.Thread(target=work) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(texts) == 3 and len(set(texts)) == 1


def test_others_run_while_it_computes(story, test_data):
    ticks = 0
    stop = threading.Event()

    def count():
        nonlocal ticks
        while not stop.wait(0.001):
            ticks += 1

    counter = threading.Thread(target=count)
    counter.start()
    text = test_data("data/tinystories/tinystories_val.txt").read_text()[:60000]
    lutra.perplexity(story, text, threads=1)
    stop.set()
    counter.join()
    assert ticks > 5


def test_control_c_ends_a_generation(language, control_c):
    begin = time.monotonic()
    control_c()
    with pytest.raises(KeyboardInterrupt):
        while True:
            language.sequence.truncate(0)
            "".join(language.generate("A", ignore_end=True))
    assert time.monotonic() - begin < 5
    assert language.sequence.position <= len(language.sequence)
    assert "".join(language.generate("A", max_tokens=3)) != ""


def test_conversations_feed_what_is_new(imported):
    language = lutra.LanguageModel(imported("golden/arch/llama3"), threads=1)
    messages = [{"role": "user", "content": "Hello"}]
    assert "Hello" in language.apply_chat_template(messages)
    first = language.chat(messages, max_tokens=6, temperature=0)
    answer = "".join(first)
    assert first.reused_tokens == 0
    messages += [{"role": "assistant", "content": answer}, {"role": "user", "content": "More"}]
    second = language.chat(messages, max_tokens=6, temperature=0)
    warm = "".join(second)
    assert second.reused_tokens > 0
    cold = language.chat(messages, max_tokens=6, temperature=0, sequence=language.new_sequence())
    assert "".join(cold) == warm
    with pytest.raises(lutra.Error):
        language.chat("no list")
