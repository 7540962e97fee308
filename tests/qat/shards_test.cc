#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <condition_variable>
#include <cstring>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "lutra/qat/dataset.h"
#include "lutra/qat/processes.h"
#include "lutra/qat/trainer.h"
#include "lutra/runtime/error.h"
#include "lutra/runtime/random.h"
#include "tests/temp_dir.h"

// Steps in shards, by trainers that share them as processes do.

namespace lutra::qat {
namespace {

using ::testing::HasSubstr;

// Carries messages between threads.
class Post {
 public:
  void Put(std::pair<int, int> route, std::string message) {
    const std::lock_guard lock(mutex_);
    messages_[route].push_back(std::move(message));
    arrived_.notify_all();
  }
  std::string Take(std::pair<int, int> route) {
    std::unique_lock lock(mutex_);
    std::deque<std::string>& waiting = messages_[route];
    arrived_.wait(lock, [&] { return closed_ || !waiting.empty(); });
    if (waiting.empty()) throw Error(ErrorCode::kIo, "the other has ended");
    std::string message = std::move(waiting.front());
    waiting.pop_front();
    return message;
  }
  void Close() {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    arrived_.notify_all();
  }

 private:
  std::mutex mutex_;
  std::condition_variable arrived_;
  std::map<std::pair<int, int>, std::deque<std::string>> messages_;
  bool closed_ = false;
};

class ThreadProcess : public Processes {
 public:
  ThreadProcess(int rank, int count, Post& post)
      : rank_(rank), count_(count), post_(post) {}
  int Count() const override { return count_; }
  int Rank() const override { return rank_; }
  void Send(int to, const void* data, size_t size) override {
    post_.Put({rank_, to}, {static_cast<const char*>(data), size});
  }
  void Receive(int from, void* data, size_t size) override {
    const std::string message = post_.Take({from, rank_});
    if (message.size() != size) throw Error("a message of another size");
    std::memcpy(data, message.data(), size);
  }

 private:
  int rank_;
  int count_;
  Post& post_;
};

LabelledImages ShardedImages() {
  Random random(23);
  LabelledImages images;
  images.count = 37;
  images.image_shape = {4, 4};
  for (size_t i = 0; i < images.count; ++i) {
    images.labels.push_back(static_cast<uint8_t>(random.Below(4)));
    for (int j = 0; j < 16; ++j) images.images.push_back(random.Symmetric());
  }
  return images;
}

// Steps of 16, 16 and 5 samples.
TrainOptions Options(size_t shards) {
  TrainOptions options;
  options.epochs = 2;
  options.batch_size = 16;
  options.shards = shards;
  options.clip = 0.5;
  QuantizedTraining quantization;
  quantization.schemes = {{"fc1.weight", {"stretched", 2, 8}}};
  options.quantization = quantization;
  return options;
}

TrainableModel Mlp(uint64_t seed) {
  return MakeMlp(16, std::vector<size_t>{8}, 4, seed);
}

std::vector<float> WeightsOf(const Trainer& trainer) {
  std::vector<float> weights;
  for (const auto& [name, tensor] : trainer.model().parameters) {
    weights.insert(weights.end(), tensor.values.begin(), tensor.values.end());
  }
  return weights;
}

// What a process ended with: values of all weights, or an error.
struct End {
  std::vector<float> weights;
  bool done = false;
  int64_t step = 0;
  std::string error;
};

class ShardsTest : public ::testing::Test {
 protected:
  // Trains in as many threads as `options` has elements.
  std::vector<End> Train(
      const std::vector<TrainOptions>& options,
      const std::vector<TrainObserver>& observers = {}) const {
    Post post;
    std::vector<End> ends(options.size());
    std::vector<std::thread> threads;
    for (size_t i = 0; i < options.size(); ++i) {
      threads.emplace_back([&, i] {
        ThreadProcess process(static_cast<int>(i),
                              static_cast<int>(options.size()), post);
        TrainOptions own = options[i];
        own.processes = &process;
        End& end = ends[i];
        std::unique_ptr<Trainer> trainer;
        try {
          trainer = std::make_unique<Trainer>(Mlp(1), images_, own, nullptr);
          if (!own.teacher_cache.empty()) trainer->CacheTeacher({});
          end.done = trainer->Run([&](const TrainProgress& state) {
            end.step = state.step;
            return observers.empty() || observers[i](state);
          });
          end.weights = WeightsOf(*trainer);
        } catch (const Error& error) {
          end.error = error.what();
          post.Close();
          if (trainer != nullptr && !own.checkpoint.empty()) {
            trainer->SaveCheckpoint();
          }
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    return ends;
  }

  TempDir dir_;
  const LabelledImages images_ = ShardedImages();
};

// The last step's five samples leave some of seven shards empty.
TEST_F(ShardsTest, AnyNumberOfProcessesHasTheSameBits) {
  std::set<std::vector<float>> results;
  for (const size_t shards : {1u, 2u, 4u, 6u, 7u}) {
    SCOPED_TRACE(shards);
    const End alone = Train({Options(shards)})[0];
    ASSERT_TRUE(alone.done) << alone.error;
    results.insert(alone.weights);
    for (size_t processes = 2; processes <= shards; ++processes) {
      SCOPED_TRACE(processes);
      for (const End& end :
           Train(std::vector<TrainOptions>(processes, Options(shards)))) {
        EXPECT_TRUE(end.done) << end.error;
        EXPECT_EQ(end.weights, alone.weights);
      }
    }
  }
  // Their number is not without effect, or this would compare nothing.
  EXPECT_GE(results.size(), 3U);
}

// But for the rounding of sums.
TEST_F(ShardsTest, ShardsAreTheWholeStep) {
  TrainOptions options = Options(1);
  options.quantization.reset();
  const std::vector<float> whole = Train({options})[0].weights;
  options.shards = 5;
  const std::vector<float> parts = Train({options})[0].weights;
  ASSERT_EQ(whole.size(), parts.size());
  for (size_t i = 0; i < whole.size(); ++i) {
    EXPECT_NEAR(whole[i], parts[i], 1e-4f);
  }
}

TEST_F(ShardsTest, OneThatIsToStopStopsAllOfThemTogether) {
  const TrainObserver goes_on = [](const TrainProgress&) { return true; };
  for (const End& end : Train(
           std::vector<TrainOptions>(3, Options(4)),
           {goes_on, [](const TrainProgress& state) { return state.step < 2; },
            goes_on})) {
    EXPECT_EQ(end.error, "");
    EXPECT_FALSE(end.done);
    EXPECT_EQ(end.step, 3);
  }
}

// All of them keep what there is, one after the other.
TEST_F(ShardsTest, OneThatEndsEndsTheOthersAfterAWholeStep) {
  const TrainObserver goes_on = [](const TrainProgress&) { return true; };
  TrainOptions options = Options(4);
  const std::vector<float> whole = Train({options})[0].weights;
  options.checkpoint = dir_ / "run";
  const std::vector<End> ends =
      Train(std::vector<TrainOptions>(3, options),
            {goes_on, goes_on, [](const TrainProgress& state) {
               if (state.step == 2) throw Error("this one fails");
               return true;
             }});
  EXPECT_EQ(ends[2].error, "this one fails");
  for (size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(ends[i].error, "the other has ended");
    EXPECT_EQ(ends[i].step, 2);
  }
  Trainer resumed(Mlp(1), images_, options, nullptr);
  resumed.Resume();
  EXPECT_TRUE(resumed.Run(goes_on));
  EXPECT_EQ(WeightsOf(resumed), whole);
}

// One process runs the teacher for all; a shard reads what is said of its own
// rows.
TEST_F(ShardsTest, ATeacherIsKeptForAllOfThem) {
  TrainOptions options = Options(3);
  options.quantization.reset();
  options.teacher = std::make_shared<const TrainableModel>(Mlp(2));
  options.distillation = 1.0;
  const std::vector<float> at_hand = Train({options})[0].weights;
  options.teacher_cache = dir_ / "teacher";
  const std::vector<End> ends = Train({options, options});
  ASSERT_EQ(ends[0].error, "");
  EXPECT_EQ(ends[1].weights, ends[0].weights);
  ASSERT_EQ(ends[0].weights.size(), at_hand.size());
  for (size_t i = 0; i < at_hand.size(); ++i) {
    EXPECT_NEAR(ends[0].weights[i], at_hand[i], 1e-4f);
  }
}

TEST_F(ShardsTest, RefusesWhatDiffersAndWhatCannotBeShared) {
  TrainOptions other = Options(2);
  other.learning_rate *= 2;
  EXPECT_THAT(Train({Options(2), other})[1].error,
              HasSubstr("process 2 of 2 has another model, other data or"));
  EXPECT_THAT(Train({Options(1), Options(1)})[0].error,
              HasSubstr("2 processes, but a step has only 1 shards"));
  EXPECT_THAT(Train({Options(17)})[0].error,
              HasSubstr("16 samples cannot have 17 shards"));
  EXPECT_THAT(Train({Options(0)})[0].error, HasSubstr("cannot have 0 shards"));
}

}  // namespace
}  // namespace lutra::qat
