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
        features[i] = static_cast<float>((number * 7 + static_cast<int>(i)) %
                                         11) -
                      5.0f;
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

  // Runs rows; outputs of the rows that are wanted.
  static std::vector<float> Run(Program& program,
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
  static std::vector<float> RunAlone(Program& program,
                                     const std::vector<int32_t>& numbers) {
    Sequence sequence = program.NewSequence();
    return Run(program, {{&sequence, numbers.size()}}, numbers);
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
        program_(model, {.threads = threads, .context = kContext,
                         .cache = cache}),
        alone_(model, {.threads = 1, .context = kContext, .cache = cache}),
        recurrent_(std::any_of(model->graph().nodes.begin(),
                               model->graph().nodes.end(),
                               [](const Node& node) {
                                 return node.op == OpType::kLstmCell;
                               })) {
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
        const size_t position =
            recurrent_ ? 0 : Below(track.fed.size() + 1);
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
    const std::vector<float> y = Run(rows, numbers, last);
    const size_t width = model_->outputs()[0].ElementCount();
    const float* actual = y.data();
    for (size_t i = 0; i < rows.size(); ++i) {
      const size_t wanted = last ? 1 : rows[i].count;
      ASSERT_EQ(called[i]->sequence.position(), called[i]->fed.size());
      const std::vector<float> expected = RunAlone(called[i]->fed);
      ASSERT_EQ(std::memcmp(actual,
                            expected.data() + expected.size() - wanted * width,
                            wanted * width * sizeof(float)),
                0)
          << "sequence " << i << " of " << rows.size();
      actual += wanted * width;
    }
  }

  std::vector<float> Run(const std::vector<Program::Rows>& rows,
                         const std::vector<int32_t>& numbers, bool last) {
    return RunOn(program_, rows, numbers, last);
  }
  std::vector<float> RunAlone(const std::vector<int32_t>& numbers) {
    Sequence sequence = alone_.NewSequence();
    return RunOn(alone_, {{&sequence, numbers.size()}}, numbers, false);
  }
  static std::vector<float> RunOn(Program& program,
                                  const std::vector<Program::Rows>& rows,
                                  const std::vector<int32_t>& numbers,
                                  bool last) {
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

  std::shared_ptr<const Model> model_;
  std::mt19937 rng_;
  Program program_;
  Program alone_;
  bool recurrent_;
  std::vector<Track> tracks_;
};
