// Whichever allocation fails, alone or with all after it, the C API returns
// LUTRA_OUT_OF_MEMORY, leaks nothing, and what it has made works on.

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <ostream>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "lutra.h"
#include "lutra/runtime/chat_data.h"
#include "lutra/runtime/model.h"
#include "lutra/runtime/tokenizer.h"
#include "lutra/runtime/tokenizer_data.h"
#include "tests/kernels/random_matrix.h"
#include "tests/runtime/allocation_counter.h"
#include "tests/runtime/model_builder.h"
#include "tests/runtime/tiny_language.h"
#include "tests/runtime/tiny_llama.h"
#include "tests/runtime/tiny_lstm.h"
#include "tests/temp_dir.h"

namespace lutra {
namespace {

constexpr size_t kRowsOfACall = 4;

// Image [6, 6, 3] -> conv2d -> depthwise_conv2d -> max_pool2d -> y [10].
ModelBuilder TinyConvNet() {
  std::mt19937 rng(5);
  const auto packed =
      kernels::MakeRandomMatrix({.n = 16, .k = 27, .bits = 4, .group_size = 27},
                                kernels::TableKind::kSmall, rng);
  const std::vector<int64_t> around = {1, 1, 1, 1};
  const std::vector<int64_t> three = {3, 3};
  ModelBuilder builder;
  builder.Input("image", {6, 6, 3})
      .Add(OpType::kConv2d, {"image"}, "c0", "w0", "b0")
      .Set("kernel", three)
      .Set("padding", around)
      .Add(OpType::kRelu, {"c0"}, "a0")
      .Add(OpType::kDepthwiseConv2d, {"a0"}, "c1", "w1")
      .Set("kernel", three)
      .Set("padding", around)
      .Add(OpType::kMaxPool2d, {"c1"}, "p")
      .Set("kernel", std::vector<int64_t>{6, 6})
      .Add(OpType::kReshape, {"p"}, "flat")
      .Set("shape", std::vector<int64_t>{16})
      .Add(OpType::kLinear, {"flat"}, "scores", "w2")
      .Add(OpType::kSoftmax, {"scores"}, "y")
      .Output("y")
      .Packed("w0", {packed.blob.get(), packed.blob_bytes})
      .Floats("b0", {16}, RandomFloats(16, 1))
      .Floats("w1", {9, 16}, RandomFloats(9 * 16, 2))
      .Floats("w2", {10, 16}, RandomFloats(10 * 16, 3));
  return builder;
}

// Letters, with the libraries for Unicode and regular expressions at work.
std::vector<std::byte> LettersTokenizer(size_t letters) {
  TokenizerData data;
  std::vector<uint32_t> all;
  for (size_t i = 0; i < letters; ++i) {
    all.push_back(static_cast<uint32_t>(i));
    data.AddPiece(std::string(1, " efhotux"[i]), PieceType::kNormal);
  }
  MakeLookup(all, data);
  data.recipe.kind = "letters";
  TextStep compose;
  compose.kind = TextStep::Kind::kNfc;
  data.recipe.normalizer = {compose};
  TextStep split;
  split.kind = TextStep::Kind::kSplit;
  split.from = "(?i)\\w+|\\s+";
  data.recipe.splitter = {split};
  AddedToken added;
  added.id = 0;
  added.text = "<space>";
  data.recipe.added = {added};
  return SerializeTokenizer(data);
}

// A block of GPT-2's kind: layer norms, gelu, no rotation.
ModelBuilder TinyGpt() {
  constexpr uint32_t kWidth = 32;
  constexpr size_t kVocabulary = 24;
  std::mt19937 rng(7);
  ModelBuilder builder;
  const auto packed = [&](const char* name, uint32_t n, uint32_t k) {
    const auto matrix =
        kernels::MakeRandomMatrix({.n = n, .k = k, .bits = 2, .group_size = 16},
                                  kernels::TableKind::kSmall, rng);
    builder.Packed(name, {matrix.blob.get(), matrix.blob_bytes});
  };
  packed("q", kWidth, kWidth);
  packed("k", kWidth, kWidth);
  packed("v", kWidth, kWidth);
  packed("up", 2 * kWidth, kWidth);
  packed("down", kWidth, 2 * kWidth);
  const std::vector<std::byte> tokenizer = LettersTokenizer(8);
  builder.Metadata(kContextLengthKey, "80")
      .Tensor(std::string(kTokenizerTensor), DType::kUInt8,
              {static_cast<int64_t>(tokenizer.size())}, tokenizer)
      .Floats("ids", {kVocabulary, kWidth},
              RandomFloats(kVocabulary * kWidth, 1))
      .Floats("one", {kWidth}, std::vector<float>(kWidth, 1.0f))
      .Floats("zero", {kWidth}, std::vector<float>(kWidth, 0.0f))
      .Input("tokens", {}, ValueType::kInt32)
      .Add(OpType::kEmbedding, {"tokens"}, "e", "ids")
      .Add(OpType::kLayerNorm, {"e"}, "n0", "one", "zero")
      .Set("eps", 1e-5)
      .Add(OpType::kLinear, {"n0"}, "q0", "q")
      .Add(OpType::kLinear, {"n0"}, "k0", "k")
      .Add(OpType::kLinear, {"n0"}, "v0", "v")
      .Add(OpType::kAttention, {"q0", "k0", "v0"}, "a")
      .Set("heads", 4.0)
      .Set("kv_heads", 4.0)
      .Add(OpType::kAdd, {"e", "a"}, "h0")
      .Add(OpType::kLayerNorm, {"h0"}, "n1", "one", "zero")
      .Set("eps", 1e-5)
      .Add(OpType::kLinear, {"n1"}, "u", "up")
      .Add(OpType::kGelu, {"u"}, "g")
      .Add(OpType::kLinear, {"g"}, "d", "down")
      .Add(OpType::kAdd, {"h0", "d"}, "h1")
      .Add(OpType::kLinear, {"h1"}, "logits", "ids")
      .Output("logits");
  return builder;
}

ModelBuilder WithChat(ModelBuilder builder) {
  ChatData data;
  data.templates = {{"default",
                     "{% for m in messages %}<{{ m.role }} {{ m.content }}>"
                     "{% endfor %}"}};
  builder.Metadata(kChatKey, ChatDataToJson(data));
  return builder;
}

// One life of a model, in which allocations fail. Itself it allocates nothing
// while they can.
class Life {
 public:
  Life(const std::filesystem::path& path, bool with_text, size_t threads,
       size_t fail, bool and_after)
      : path_(path.string()),
        with_text_(with_text),
        threads_(threads),
        inputs_(1 << 10),
        outputs_(1 << 10),
        bytes_(1 << 18),
        fail_(fail),
        and_after_(and_after) {}

  // What it computes.
  const std::vector<float>& Live() {
    Arm();
    Do("load", [&] { return lutra_model_load(path_.c_str(), &model_); });
    Do("create", [&] {
      lutra_session_options options;
      lutra_session_options_init(&options);
      options.threads = threads_;
      return lutra_session_create(model_, &options, &session_);
    });
    Run();
    Sequences();
    if (lutra_model_vocabulary(model_) > 0) Language();
    lutra_sequence_free(sequence_);
    lutra_sequence_free(restored_);
    lutra_session_free(session_);
    lutra_model_free(model_);
    allocations_ = AllocationCount() - first_;
    FailAllocation(0);
    return outputs_;
  }

  // Allocations of the life, where they can fail.
  size_t allocations() const { return allocations_; }
  // Whether the n-th of them is among the first or last of a step.
  bool NearEndOfStep(size_t n) const {
    constexpr size_t kNear = 11;
    return std::any_of(ends_.begin(), ends_.begin() + steps_, [n](size_t end) {
      return n <= end + kNear && end <= n + kNear;
    });
  }
  bool failed() const { return failed_; }

 private:
  void Arm() {
    first_ = AllocationCount();
    FailAllocation(fail_, and_after_);
  }

  template <typename Body>
  void Do(const char* step, const Body& body) {
    const lutra_status status = body();
    ends_.at(steps_++) = AllocationCount() - first_;
    if (status == LUTRA_OK) return;
    FailAllocation(0);
    failed_ = true;
    EXPECT_EQ(status, LUTRA_OUT_OF_MEMORY)
        << step << ": " << lutra_last_error();
    EXPECT_EQ(body(), LUTRA_OK) << step << ": " << lutra_last_error();
  }

  // The next `count` floats of the outputs.
  float* Take(size_t count) {
    float* const at = outputs_.data() + taken_;
    taken_ += count;
    EXPECT_LE(taken_, outputs_.size());
    return at;
  }

  size_t OutputElements() const {
    lutra_value_info info;
    EXPECT_EQ(lutra_model_output(model_, 0, &info), LUTRA_OK);
    return info.elements;
  }

  void Run() {
    const void* const inputs[] = {inputs_.data()};
    float* const outputs[] = {Take(kRowsOfACall * OutputElements())};
    Do("prepare", [&] { return lutra_session_prepare(session_, 2); });
    Do("run", [&] {
      EXPECT_EQ(lutra_session_position(session_), 0u);
      return lutra_session_run(session_, kRowsOfACall, inputs, 1, outputs, 1);
    });
  }

  void Sequences() {
    Do("fork", [&] { return lutra_session_fork(session_, &sequence_); });
    const void* const inputs[] = {inputs_.data()};
    float* const outputs[] = {Take(OutputElements())};
    Do("run rows", [&] {
      const lutra_rows rows = {sequence_, 3};
      return lutra_session_run_rows(session_, &rows, 1, 1, inputs, 1, outputs,
                                    1);
    });
    EXPECT_EQ(lutra_sequence_position(sequence_), kRowsOfACall + 3);
    size_t size = 0;
    Do("save", [&] {
      return lutra_sequence_save(sequence_, bytes_.data(), bytes_.size(),
                                 &size);
    });
    EXPECT_LE(size, bytes_.size());
    Do("restore", [&] {
      return lutra_sequence_restore(session_, bytes_.data(), size, &restored_);
    });
  }

  void Language() {
    const size_t vocabulary = lutra_model_vocabulary(model_);
    const float* logits = nullptr;
    const std::array<int32_t, 5> ids = {3, 4, 5, 3, 4};
    Do("feed", [&] {
      EXPECT_EQ(lutra_session_position(session_), kRowsOfACall);
      return lutra_session_feed(session_, ids.data(), ids.size(), &logits);
    });
    float* const kept = Take(vocabulary);
    std::copy(logits, logits + vocabulary, kept);
    Do("feed rows", [&] {
      const lutra_rows rows[] = {{sequence_, 2}, {restored_, 3}};
      return lutra_session_feed_rows(session_, rows, 2, ids.data(), &logits);
    });
    std::copy(logits, logits + 2 * vocabulary, Take(2 * vocabulary));
    lutra_sampler* sampler = nullptr;
    int32_t id = 0;
    Do("sampler",
       [&] { return lutra_sampler_create(nullptr, vocabulary, &sampler); });
    Do("sample",
       [&] { return lutra_sampler_sample(sampler, kept, vocabulary, &id); });
    Do("accept", [&] { return lutra_sampler_accept(sampler, id); });
    std::array<int32_t, 4> top;
    Do("top", [&] {
      return lutra_top_log_probabilities(kept, vocabulary, top.size(),
                                         top.data(), Take(0));
    });
    Take(top.size());
    lutra_sampler_free(sampler);
    *Take(1) = static_cast<float>(id);
    if (with_text_) Text();
  }

  void Text() {
    std::array<int32_t, 32> ids = {};
    size_t count = 0;
    const std::string_view text = "the fox";
    Do("encode", [&] {
      return lutra_model_encode(model_, text.data(), text.size(), 1, ids.data(),
                                ids.size(), &count);
    });
    std::array<char, 64> decoded = {};
    size_t bytes = 0;
    Do("decode", [&] {
      return lutra_model_decode(model_, ids.data(), count, decoded.data(),
                                decoded.size(), &bytes);
    });
    EXPECT_EQ(std::string_view(decoded.data(), bytes), text);
    lutra_text_stream* stream = nullptr;
    const char* piece = nullptr;
    Do("stream", [&] { return lutra_text_stream_create(model_, 1, &stream); });
    Do("add",
       [&] { return lutra_text_stream_add(stream, ids[1], &piece, &bytes); });
    Do("flush",
       [&] { return lutra_text_stream_flush(stream, &piece, &bytes); });
    lutra_text_stream_free(stream);
    Chat();
    Constraint();
  }

  void Chat() {
    const char* const messages =
        R"([{"role": "user", "content": "the fox"}, {"role": "assistant"}])";
    std::array<char, 64> text = {};
    size_t bytes = 0;
    Do("chat", [&] {
      return lutra_model_apply_chat_template(model_, messages, nullptr,
                                             text.data(), text.size(), &bytes);
    });
    EXPECT_EQ(std::string_view(text.data(), bytes),
              "<user the fox><assistant >");
    size_t count = 0;
    Do("chat ends",
       [&] { return lutra_model_chat_ends(model_, nullptr, 0, &count); });
  }

  void Constraint() {
    lutra_constraint_options options;
    lutra_constraint_options_init(&options);
    options.grammar = "root ::= (\"the\" | \"fox\"){2}";
    lutra_constraint* constraint = nullptr;
    const uint32_t* allowed = nullptr;
    Do("constraint",
       [&] { return lutra_constraint_create(model_, &options, &constraint); });
    Do("allowed",
       [&] { return lutra_constraint_allowed(constraint, &allowed); });
    int32_t id = 0;
    while ((allowed[id / 32] >> (id % 32) & 1) == 0) ++id;
    Do("accept", [&] { return lutra_constraint_accept(constraint, id); });
    Do("reset", [&] { return lutra_constraint_reset(constraint, 0); });
    lutra_constraint_free(constraint);
  }

  std::string path_;
  bool with_text_;
  size_t threads_;
  std::vector<float> inputs_;  // zeros, which are ids too
  std::vector<float> outputs_;
  size_t taken_ = 0;
  std::vector<std::byte> bytes_;
  size_t fail_;
  bool and_after_;
  size_t first_ = 0;
  size_t allocations_ = 0;
  std::array<size_t, 40> ends_ = {};  // of steps
  size_t steps_ = 0;
  bool failed_ = false;
  lutra_model* model_ = nullptr;
  lutra_session* session_ = nullptr;
  lutra_sequence* sequence_ = nullptr;
  lutra_sequence* restored_ = nullptr;
};

struct Subject {
  const char* name;
  ModelBuilder (*build)();
  bool with_text = false;
};

void PrintTo(const Subject& subject, std::ostream* out) {
  *out << subject.name;
}

const Subject kSubjects[] = {
    {"packed_llama",
     [] { return WithChat(TinyLanguage{.packed = true}.Build()); }, true},
    {"float_llama", [] { return TinyLlama{}.Build(); }},
    {"lstm", TinyLstm},
    {"conv_net", TinyConvNet},
    {"gpt", [] { return WithChat(TinyGpt()); }, true}};

class CApiMemoryTest : public ::testing::TestWithParam<Subject> {};

TEST_P(CApiMemoryTest, EveryAllocationMayFail) {
  if (!FailAllocation(0)) GTEST_SKIP() << "allocations cannot fail";
  const TempDir dir;
  const std::filesystem::path path = dir / "m.safetensors";
  GetParam().build().Write(path);
  const bool with_text = GetParam().with_text;
  for (const size_t threads : {size_t{1}, size_t{2}}) {
    Life(path, with_text, threads, 0, false).Live();  // what happens only once
    Life reference(path, with_text, threads, 0, false);
    const std::vector<float> expected = reference.Live();
    const size_t allocations = reference.allocations();
    size_t tries = 0;
    size_t failures = 0;
    // By how much the number of living allocations changes.
    const auto try_it = [&](size_t n, bool and_after) {
      const size_t live = LiveAllocations();
      {
        Life life(path, with_text, threads, n, and_after);
        EXPECT_EQ(life.Live(), expected);
        failures += size_t{life.failed()};
        ++tries;
      }
      return static_cast<ptrdiff_t>(LiveAllocations() - live);
    };
    for (const bool and_after : {false, true}) {
      if (and_after && threads == 2) continue;  // no other code
      // Within a step not all: most read and write JSON.
      for (size_t n = 1; n <= allocations;
           n += size_t{reference.NearEndOfStep(n) ? 1u : 11u}) {
        SCOPED_TRACE(std::to_string(threads) + " threads, allocation " +
                     std::to_string(n) + (and_after ? " and all after" : ""));
        // What is made once and kept is no leak.
        if (try_it(n, and_after) != 0) {
          EXPECT_EQ(try_it(n, and_after), 0);
        }
        if (HasFailure()) return;
      }
    }
    // Few are done without.
    EXPECT_GT(failures, tries / 2);
  }
}

INSTANTIATE_TEST_SUITE_P(Models, CApiMemoryTest, ::testing::ValuesIn(kSubjects),
                         [](const auto& model) {
                           return std::string(model.param.name);
                         });

}  // namespace
}  // namespace lutra
