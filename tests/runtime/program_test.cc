// Calls of several sequences; sequences forked, truncated, saved and restored.

#include "lutra/runtime/program.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "lutra/runtime/session.h"
#include "tests/runtime/throws.h"
#include "tests/runtime/tiny_llama.h"
#include "tests/runtime/tiny_lstm.h"
#include "tests/temp_dir.h"

namespace lutra {
namespace {

using ::testing::HasSubstr;

constexpr size_t kContext = 200;  // several pages

// A row of a model's input, by a number that stands for it: an id, or features
// that are made of the number.
class Inputs {
 public:
  explicit Inputs(const Model& model) : info_(model.inputs()[0]) {}

  std::vector<std::byte> Rows(const std::vector<int32_t>& numbers) const {
    std::vector<std::byte> bytes;
    for (const int32_t number : numbers) {
      std::vector<float> features(info_.ElementCount());
      for (size_t i = 0; i < features.size(); ++i) {
        features[i] =
            static_cast<float>((number * 7 + static_cast<int>(i)) % 11) - 5.0f;
      }
      const void* row = info_.type == ValueType::kInt32
                            ? static_cast<const void*>(&number)
                            : features.data();
      const size_t size = info_.ElementCount() * sizeof(float);
      const auto* begin = static_cast<const std::byte*>(row);
      bytes.insert(bytes.end(), begin, begin + size);
    }
    return bytes;
  }

 private:
  ValueInfo info_;
};

// Runs rows; outputs of all of them, or of the last of each sequence.
std::vector<float> Feed(Program& program,
                        const std::vector<Program::Rows>& rows,
                        const std::vector<int32_t>& numbers,
                        bool last = false) {
  const std::vector<std::byte> x = Inputs(program.model()).Rows(numbers);
  const size_t width = program.model().outputs()[0].ElementCount();
  std::vector<float> y((last ? rows.size() : numbers.size()) * width);
  const void* const inputs[] = {x.data()};
  float* const outputs[] = {y.data()};
  if (last) {
    program.RunLast(rows, inputs, outputs);
  } else {
    program.Run(rows, inputs, outputs);
  }
  return y;
}

// Outputs of all tokens, fed to an empty sequence in one call.
std::vector<float> FeedAlone(Program& program,
                             const std::vector<int32_t>& numbers) {
  Sequence sequence = program.NewSequence();
  return Feed(program, {{&sequence, numbers.size()}}, numbers);
}

// A sequence and what was fed to it.
struct Track {
  Sequence sequence;
  std::vector<int32_t> fed;
};

class ProgramTest : public ::testing::Test {
 protected:
  std::shared_ptr<const Model> Write(const ModelBuilder& builder) {
    const auto path = dir_ / (std::to_string(++files_) + ".safetensors");
    builder.Write(path);
    return Model::Load(path);
  }
  std::shared_ptr<const Model> Packed() {
    return Write(TinyLlama{.context = kContext, .bits = 4}.Build());
  }

  TempDir dir_;
  int files_ = 0;
};

// Steps of a random life of many sequences; every output of a call is compared
// with that of the sequence alone.
class RandomSchedule {
 public:
  RandomSchedule(std::shared_ptr<const Model> model, CacheType cache,
                 size_t threads, uint32_t seed)
      : model_(model),
        rng_(seed),
        program_(model,
                 {.threads = threads, .context = kContext, .cache = cache}),
        alone_(model, {.threads = 1, .context = kContext, .cache = cache}),
        recurrent_(std::any_of(
            model->graph().nodes.begin(), model->graph().nodes.end(),
            [](const Node& node) { return node.op == OpType::kLstmCell; })) {
    tracks_.push_back({program_.NewSequence(), {}});
  }

  void Step() {
    switch (Below(8)) {
      case 0:
        if (tracks_.size() < 6) tracks_.push_back({program_.NewSequence(), {}});
        break;
      case 1: {
        const Track& track = Any();
        Track fork{track.sequence.Fork(), track.fed};
        tracks_.push_back(std::move(fork));
        break;
      }
      case 2:
        if (tracks_.size() > 3) {
          tracks_.erase(tracks_.begin() + static_cast<int>(Below(2)));
        }
        break;
      case 3: {
        Track& track = Any();
        const size_t position = recurrent_ ? 0 : Below(track.fed.size() + 1);
        track.sequence.Truncate(position);
        track.fed.resize(position);
        break;
      }
      case 4: {
        Track& track = Any();
        track.sequence = program_.Restore(track.sequence.Save());
        ASSERT_EQ(track.sequence.position(), track.fed.size());
        break;
      }
      default:
        Call();
    }
  }

 private:
  size_t Below(size_t n) { return rng_() % n; }
  Track& Any() { return tracks_[Below(tracks_.size())]; }

  void Call() {
    std::shuffle(tracks_.begin(), tracks_.end(), rng_);
    const size_t count = 1 + Below(tracks_.size());
    const bool last = Below(2) == 0;
    std::vector<Program::Rows> rows;
    std::vector<int32_t> numbers;
    std::vector<Track*> called;
    for (size_t i = 0; i < count; ++i) {
      Track& track = tracks_[i];
      const size_t room = kContext - track.fed.size();
      if (room == 0) continue;
      const size_t m = 1 + Below(std::min<size_t>(room, Below(3) ? 3 : 70));
      rows.push_back({&track.sequence, m});
      for (size_t j = 0; j < m; ++j) {
        numbers.push_back(static_cast<int32_t>(Below(50)));
        track.fed.push_back(numbers.back());
      }
      called.push_back(&track);
    }
    if (rows.empty()) return;
    const std::vector<float> y = Feed(program_, rows, numbers, last);
    const size_t width = model_->outputs()[0].ElementCount();
    const float* actual = y.data();
    for (size_t i = 0; i < rows.size(); ++i) {
      const size_t wanted = last ? 1 : rows[i].count;
      ASSERT_EQ(called[i]->sequence.position(), called[i]->fed.size());
      const std::vector<float> expected = FeedAlone(alone_, called[i]->fed);
      ASSERT_EQ(std::memcmp(actual,
                            expected.data() + expected.size() - wanted * width,
                            wanted * width * sizeof(float)),
                0)
          << "sequence " << i << " of " << rows.size();
      actual += wanted * width;
    }
  }

  std::shared_ptr<const Model> model_;
  std::mt19937 rng_;
  Program program_;
  Program alone_;
  bool recurrent_;
  std::vector<Track> tracks_;
};

TEST_F(ProgramTest, BitsDoNotDependOnWhatElseRuns) {
  uint32_t seed = 1;
  for (const auto& model :
       {Packed(),
        Write(TinyLlama{.context = kContext, .window = 70, .bits = 2}.Build()),
        Write(TinyLlama{.context = kContext}.Build()), Write(TinyLstm())}) {
    for (const CacheType cache :
         {CacheType::kFloat32, CacheType::kFloat16, CacheType::kInt8}) {
      for (const size_t threads : std::vector<size_t>{1, 2}) {
        SCOPED_TRACE(std::to_string(seed));
        RandomSchedule schedule(model, cache, threads, seed++);
        for (int i = 0; i < 60; ++i) {
          schedule.Step();
          if (HasFatalFailure()) return;
        }
      }
    }
  }
}

std::vector<int32_t> Numbers(size_t count, uint32_t seed) {
  return RandomIds(count, 50, seed);
}

TEST_F(ProgramTest, ForksSharePagesUntilTheyAreWritten) {
  Program program(Write(TinyLlama{.context = kContext}.Build()),
                  {.threads = 1});
  Sequence first = program.NewSequence();
  EXPECT_EQ(first.ByteCount(), 0u);
  const auto numbers = Numbers(100, 1);
  Feed(program, {{&first, 100}}, numbers);
  EXPECT_EQ(first.ByteCount(), program.SequenceBytes(100));
  Sequence second = first.Fork();
  EXPECT_EQ(second.position(), 100u);
  // Both write to the second page.
  const auto more = Numbers(2, 2);
  Feed(program, {{&first, 1}, {&second, 1}}, more);
  std::vector<int32_t> a = numbers;
  a.push_back(more[0]);
  std::vector<int32_t> b = numbers;
  b.push_back(more[1]);
  const auto next = Numbers(1, 3);
  const auto ya = Feed(program, {{&first, 1}}, next);
  const auto yb = Feed(program, {{&second, 1}}, next);
  a.push_back(next[0]);
  b.push_back(next[0]);
  const auto last = [](std::vector<float> y) {
    y.erase(y.begin(), y.end() - 50);
    return y;
  };
  EXPECT_EQ(ya, last(FeedAlone(program, a)));
  EXPECT_EQ(yb, last(FeedAlone(program, b)));
  EXPECT_NE(ya, yb);
}

// A fork takes the pages of its tokens only.
TEST_F(ProgramTest, AForkOfATruncatedSequenceIsSmall) {
  Program program(Packed(), {.threads = 1});
  Sequence sequence = program.NewSequence();
  Feed(program, {{&sequence, 150}}, Numbers(150, 1));
  sequence.Truncate(10);
  EXPECT_EQ(sequence.ByteCount(), program.SequenceBytes(150));
  EXPECT_EQ(sequence.Fork().ByteCount(), program.SequenceBytes(10));
}

TEST_F(ProgramTest, ForksRunOnDifferentThreads) {
  const auto model = Packed();
  Program program(model, {.threads = 1});
  Sequence root = program.NewSequence();
  const auto numbers = Numbers(70, 1);
  Feed(program, {{&root, 70}}, numbers);
  std::vector<Sequence> forks;
  for (int i = 0; i < 4; ++i) forks.push_back(root.Fork());
  std::vector<std::vector<float>> results(forks.size());
  std::vector<std::thread> threads;
  for (size_t i = 0; i < forks.size(); ++i) {
    threads.emplace_back([&, i] {
      Program own(model, {.threads = 1});
      Sequence sequence = std::move(forks[i]);
      results[i] = Feed(own, {{&sequence, 5}}, Numbers(5, 9));
    });
  }
  for (std::thread& thread : threads) thread.join();
  auto all = numbers;
  for (const int32_t number : Numbers(5, 9)) all.push_back(number);
  const auto expected = FeedAlone(program, all);
  for (const auto& result : results) {
    EXPECT_EQ(result,
              std::vector<float>(expected.end() - 5 * 50, expected.end()));
  }
}

TEST_F(ProgramTest, WrongCallsAreRefusedAndChangeNothing) {
  const auto model = Packed();
  Program program(model, {.threads = 1});
  Program other(model, {.threads = 1, .cache = CacheType::kInt8});
  Sequence a = program.NewSequence();
  Sequence b = program.NewSequence();
  Sequence foreign = other.NewSequence();
  const auto refused = [&](const std::vector<Program::Rows>& rows,
                           const std::vector<int32_t>& numbers) {
    return ErrorMessage([&] { Feed(program, rows, numbers); });
  };
  EXPECT_THAT(refused({{&a, 1}, {&a, 1}}, {1, 2}),
              HasSubstr("sequence 1 is in the call twice"));
  EXPECT_THAT(refused({{&a, 1}, {&foreign, 1}}, {1, 2}),
              HasSubstr("sequence 1 of the call is not one of this program"));
  EXPECT_THAT(refused({{nullptr, 1}}, {1}), HasSubstr("sequence 0"));
  EXPECT_THAT(refused({{&a, 1}, {&b, 0}}, {1}),
              HasSubstr("at least one token"));
  EXPECT_THAT(refused({}, {}), HasSubstr("at least one token"));
  // An id that the model does not know, in the last of the rows.
  EXPECT_THAT(refused({{&a, 2}, {&b, 1}}, {1, 2, 99}), HasSubstr("id 99"));
  EXPECT_THAT(refused({{&a, kContext}, {&b, kContext + 1}}, {}),
              HasSubstr("run past the context of 200"));
  EXPECT_EQ(a.position(), 0u);
  EXPECT_EQ(b.position(), 0u);
  const auto y = Feed(program, {{&a, 2}, {&b, 1}}, {1, 2, 3});
  auto expected = FeedAlone(program, {1, 2});
  const auto rest = FeedAlone(program, {3});
  expected.insert(expected.end(), rest.begin(), rest.end());
  EXPECT_EQ(y, expected);
}

TEST_F(ProgramTest, ReservedSequencesAllocateNoPages) {
  Program program(Packed(), {.threads = 1});
  Sequence sequence = program.NewSequence();
  sequence.Reserve(kContext);
  const size_t bytes = sequence.ByteCount();
  EXPECT_EQ(bytes, program.SequenceBytes(kContext));
  Feed(program, {{&sequence, kContext}}, Numbers(kContext, 1));
  EXPECT_EQ(sequence.ByteCount(), bytes);
  EXPECT_THAT(ErrorMessage([&] { sequence.Reserve(kContext + 1); }),
              HasSubstr("more than the context of 200"));
}

TEST_F(ProgramTest, DamagedSavedSequencesAreRefused) {
  const auto model = Packed();
  Program program(model, {.threads = 1});
  Sequence sequence = program.NewSequence();
  Feed(program, {{&sequence, 70}}, Numbers(70, 1));
  const std::vector<std::byte> saved = sequence.Save();
  EXPECT_EQ(program.Restore(saved).position(), 70u);
  const auto refused = [&](const std::vector<std::byte>& bytes) {
    return ErrorMessage([&] { program.Restore(bytes); });
  };
  // Every byte of the header, some of the rest, and lengths.
  for (size_t i = 0; i < saved.size(); i += i < 64 ? 1 : 997) {
    auto damaged = saved;
    damaged[i] ^= std::byte{0x40};
    EXPECT_THAT(refused(damaged), HasSubstr("saved sequence: ")) << i;
  }
  for (const size_t size :
       {size_t{0}, size_t{63}, size_t{64}, saved.size() - 1}) {
    EXPECT_THAT(refused({saved.begin(),
                         saved.begin() + static_cast<std::ptrdiff_t>(size)}),
                HasSubstr("bytes"))
        << size;
  }
  auto longer = saved;
  longer.push_back({});
  EXPECT_THAT(refused(longer), HasSubstr("do not fit its 70 tokens"));
  // Of a larger context, of another cache and of another model.
  Program small(model, {.threads = 1, .context = 69});
  EXPECT_THAT(ErrorMessage([&] { small.Restore(saved); }),
              HasSubstr("has 70 tokens, more than the context of 69"));
  Program int8(model, {.threads = 1, .cache = CacheType::kInt8});
  EXPECT_THAT(ErrorMessage([&] { int8.Restore(saved); }),
              HasSubstr("a cache of another type"));
  Program other(Write(TinyLlama{.context = kContext}.Build()), {.threads = 1});
  EXPECT_THAT(ErrorMessage([&] { other.Restore(saved); }),
              HasSubstr("is of another model"));
}

// The same file loaded again is the same model, for what was saved.
TEST_F(ProgramTest, SavedSequencesOutliveTheProgram) {
  const auto path = dir_ / "m.safetensors";
  TinyLlama{.context = kContext, .bits = 4}.Build().Write(path);
  const auto numbers = Numbers(66, 1);
  std::vector<std::byte> saved;
  {
    Program program(Model::Load(path), {.threads = 1});
    Sequence sequence = program.NewSequence();
    Feed(program, {{&sequence, 65}}, {numbers.begin(), numbers.end() - 1});
    saved = sequence.Save();
  }
  Program program(Model::Load(path), {.threads = 2});
  Sequence sequence = program.Restore(saved);
  const auto y = Feed(program, {{&sequence, 1}}, {numbers.back()});
  const auto expected = FeedAlone(program, numbers);
  EXPECT_EQ(y, std::vector<float>(expected.end() - 50, expected.end()));
}

// One arena, as large as the largest call.
TEST_F(ProgramTest, AnyNumberOfRowsRunsInTheArena) {
  Program program(Packed(), {.threads = 1});
  program.Reserve(40, 40);
  const size_t bytes = program.ArenaBytes();
  Sequence sequence = program.NewSequence();
  for (const size_t m : std::vector<size_t>{1, 40, 17, 39}) {
    Feed(program, {{&sequence, m}}, Numbers(m, 1));
    EXPECT_EQ(program.ArenaBytes(), bytes);
  }
  // Outputs of one row of many need less.
  Program last(Packed(), {.threads = 1});
  last.Reserve(40, 1);
  EXPECT_LT(last.ArenaBytes(), bytes);
}

}  // namespace
}  // namespace lutra
