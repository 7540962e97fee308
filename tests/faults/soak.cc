// lutra_soak [--seconds S] [--seed N]: random lives of many sequences in one
// process, in which calls are cancelled and allocations fail. Every output must
// be that of the sequence alone, and the memory stay what it is. Prints what
// was done; exits with 1 for the first output that differs, or if the memory
// grows.

#include <malloc.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <new>
#include <random>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "lutra/runtime/error.h"
#include "lutra/runtime/model.h"
#include "lutra/runtime/program.h"
#include "lutra/runtime/sequence.h"
#include "tests/faults/options.h"
#include "tests/runtime/allocation_counter.h"
#include "tests/runtime/tiny_llama.h"
#include "tests/temp_dir.h"

namespace lutra {
namespace {

constexpr size_t kContext = 200;  // several pages
constexpr size_t kMostSequences = 8;
constexpr size_t kStepsOfARound = 50;
// What is made once is made in the first ones.
constexpr uint64_t kFirstRounds = 8;

enum Kind {
  kCreated,
  kForked,
  kDropped,
  kTruncated,
  kRestored,
  kCalled,
  kTokens,
  kCancelled,
  kOutOfMemory,
  kKinds
};
constexpr std::array<const char*, kKinds> kNames = {
    "sequences created",
    "forked",
    "dropped",
    "truncated",
    "saved and restored",
    "calls",
    "tokens fed",
    "calls that were cancelled",
    "steps that an allocation failed in"};
using Counts = std::array<uint64_t, kKinds>;

// Cancels calls from a thread of its own, some microseconds after it is asked.
class Canceller {
 public:
  Canceller() : thread_([this] { Wait(); }) {}
  ~Canceller() {
    Ask(nullptr, 0);
    thread_.join();
  }
  Canceller(const Canceller&) = delete;
  Canceller& operator=(const Canceller&) = delete;

  // Until Done, the program must live.
  void Ask(Program* program, uint64_t microseconds) {
    program_ = program;
    delay_ = microseconds;
    asked_ = true;
    asked_.notify_one();
  }
  void Done() const {
    while (asked_) std::this_thread::yield();
  }

 private:
  void Wait() {
    for (;;) {
      asked_.wait(false);
      if (program_ == nullptr) return;
      const auto end = std::chrono::steady_clock::now() +
                       std::chrono::microseconds(delay_.load());
      while (std::chrono::steady_clock::now() < end) std::this_thread::yield();
      program_.load()->Cancel();
      asked_ = false;
    }
  }

  std::atomic<Program*> program_ = nullptr;
  std::atomic<uint64_t> delay_ = 0;
  std::atomic<bool> asked_ = false;
  std::thread thread_;
};

// From the loading of a model to the end of all that was made of it.
class Round {
 public:
  Round(const std::filesystem::path& path, uint64_t seed, Canceller& canceller,
        Counts& counts)
      : rng_(seed),
        model_(Model::Load(
            path, {.storage = Below(2) ? Storage::kCopy : Storage::kInPlace})),
        options_{.threads = 1 + Below(2),
                 .context = kContext,
                 .cache = static_cast<CacheType>(Below(3))},
        program_(model_, options_),
        alone_(model_,
               {.threads = 1, .context = kContext, .cache = options_.cache}),
        width_(model_->outputs()[0].ElementCount()),
        canceller_(canceller),
        counts_(counts) {
    tracks_.reserve(kMostSequences);
    Create();
  }

  // Throws if something is not as it must be.
  void Step() {
    switch (Below(12)) {
      case 0:
        return Create();
      case 1:
        return Fork();
      case 2:
        return Drop();
      case 3:
        return Truncate();
      case 4:
        return Restore();
      default:
        return Call();
    }
  }

 private:
  // A sequence and what was fed to it.
  struct Track {
    Sequence sequence;
    std::vector<int32_t> fed;
  };

  size_t Below(size_t n) { return rng_() % n; }
  Track& Any() { return tracks_[Below(tracks_.size())]; }
  void Count(Kind kind, size_t by = 1) { counts_[kind] += by; }

  // Does it until it is done; now and then an allocation fails before. What
  // failed or was cancelled has changed no sequence.
  template <typename Action>
  void Do(const Action& action) {
    for (bool failing = Below(4) == 0;; failing = false) {
      try {
        if (failing) FailAllocation(1 + Below(20), Below(2) == 0);
        action();
        FailAllocation(0);
        return;
      } catch (const Cancelled&) {
        FailAllocation(0);
        Count(kCancelled);
      } catch (const std::bad_alloc&) {
        FailAllocation(0);
        Count(kOutOfMemory);
      } catch (const Error& error) {
        FailAllocation(0);
        if (error.code() != ErrorCode::kOutOfMemory) throw;
        Count(kOutOfMemory);
      }
      for (const Track& track : tracks_) CheckPosition(track);
    }
  }

  void CheckPosition(const Track& track) const {
    if (track.sequence.position() != track.fed.size()) {
      throw std::runtime_error("a sequence of " +
                               std::to_string(track.fed.size()) +
                               " tokens is at position " +
                               std::to_string(track.sequence.position()));
    }
  }

  void Create() {
    if (tracks_.size() == kMostSequences) return;
    Do([&] { tracks_.push_back({program_.NewSequence(), {}}); });
    Count(kCreated);
  }

  void Fork() {
    if (tracks_.size() == kMostSequences) return;
    const Track& track = Any();
    std::vector<int32_t> fed = track.fed;
    Do([&] { tracks_.push_back({track.sequence.Fork(), {}}); });
    tracks_.back().fed = std::move(fed);
    Count(kForked);
  }

  void Drop() {
    if (tracks_.size() <= kMostSequences / 2) return;
    tracks_.erase(tracks_.begin() + static_cast<ptrdiff_t>(Below(3)));
    Count(kDropped);
  }

  void Truncate() {
    Track& track = Any();
    const size_t position = Below(track.fed.size() + 1);
    Do([&] { track.sequence.Truncate(position); });
    track.fed.resize(position);
    Count(kTruncated);
  }

  void Restore() {
    Track& track = Any();
    Do([&] { track.sequence = program_.Restore(track.sequence.Save()); });
    Count(kRestored);
  }

  void Call() {
    std::shuffle(tracks_.begin(), tracks_.end(), rng_);
    const size_t most = 1 + Below(tracks_.size());
    std::vector<Program::Rows> rows;
    std::vector<std::vector<int32_t>> fed;
    std::vector<int32_t> ids;
    for (size_t i = 0; i < most; ++i) {
      Track& track = tracks_[i];
      const size_t room = kContext - track.fed.size();
      if (room == 0) continue;
      const size_t count = 1 + Below(std::min<size_t>(room, Below(3) ? 3 : 70));
      rows.push_back({&track.sequence, count});
      fed.push_back(track.fed);
      for (size_t j = 0; j < count; ++j) {
        ids.push_back(static_cast<int32_t>(Below(TinyLlama{}.vocabulary)));
        fed.back().push_back(ids.back());
      }
    }
    if (rows.empty()) return;
    const bool last = Below(2) == 0;
    std::vector<float> y((last ? rows.size() : ids.size()) * width_);
    const void* const inputs[] = {ids.data()};
    float* const outputs[] = {y.data()};
    if (Below(8) == 0) canceller_.Ask(&program_, Below(100));
    Do([&] {
      if (last) {
        program_.RunLast(rows, inputs, outputs);
      } else {
        program_.Run(rows, inputs, outputs);
      }
    });
    canceller_.Done();
    const float* actual = y.data();
    for (size_t i = 0; i < rows.size(); ++i) {
      const size_t wanted = last ? 1 : rows[i].count;
      Compare(fed[i], {actual, wanted * width_});
      actual += wanted * width_;
      const auto track =
          std::find_if(tracks_.begin(), tracks_.end(), [&](const Track& each) {
            return &each.sequence == rows[i].sequence;
          });
      track->fed = std::move(fed[i]);
      CheckPosition(*track);
    }
    Count(kCalled);
    Count(kTokens, ids.size());
  }

  // The last of the outputs of a sequence that is alone and is fed all at once.
  void Compare(const std::vector<int32_t>& ids, Span<const float> actual) {
    std::vector<float> expected(ids.size() * width_);
    Sequence sequence = alone_.NewSequence();
    const void* const inputs[] = {ids.data()};
    float* const outputs[] = {expected.data()};
    const Program::Rows rows = {&sequence, ids.size()};
    alone_.Run({&rows, 1}, inputs, outputs);
    if (std::memcmp(actual.data(),
                    expected.data() + expected.size() - actual.size(),
                    actual.size() * sizeof(float)) != 0) {
      throw std::runtime_error("outputs are not those of the sequence alone");
    }
  }

  std::mt19937_64 rng_;
  std::shared_ptr<const Model> model_;
  ProgramOptions options_;
  Program program_;
  Program alone_;
  size_t width_;
  Canceller& canceller_;
  Counts& counts_;
  std::vector<Track> tracks_;
};

struct Memory {
  // Bytes of pages that no file is behind: pages of the program itself come
  // whenever code first runs, which is no growth.
  size_t resident = 0;
  size_t in_use = 0;  // bytes, with those that malloc keeps for threads
  size_t allocations = 0;
};

Memory MemoryNow() {
  // What is free and kept by malloc depends on how the threads met.
  ::malloc_trim(0);
  Memory memory;
  std::ifstream file("/proc/self/statm");
  size_t size = 0;
  size_t resident = 0;
  size_t shared = 0;
  if (!(file >> size >> resident >> shared)) {
    throw std::runtime_error("/proc/self/statm cannot be read");
  }
  memory.resident =
      (resident - shared) * static_cast<size_t>(::sysconf(_SC_PAGESIZE));
  memory.in_use = ::mallinfo2().uordblks;
  memory.allocations = LiveAllocations();
  return memory;
}

void Print(const char* when, const Memory& memory) {
  std::printf("%-20s %8zu KiB resident, %8zu bytes in %zu allocations\n", when,
              memory.resident / 1024, memory.in_use, memory.allocations);
}

int Soak(double seconds, uint64_t seed) {
  const TempDir dir;
  const auto path = dir / "m.safetensors";
  TinyLlama{.context = kContext, .bits = 4}.Build().Write(path);
  const auto start = std::chrono::steady_clock::now();
  const auto elapsed = [&] {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() -
                                         start)
        .count();
  };
  Canceller canceller;
  Counts counts = {};
  Memory early;
  uint64_t rounds = 0;
  bool measured = false;
  // However slow the machine is, as many rounds again as there are before the
  // memory is looked at.
  while (elapsed() < seconds || rounds < 2 * kFirstRounds) {
    try {
      Round round(path, seed + rounds, canceller, counts);
      for (size_t i = 0; i < kStepsOfARound; ++i) round.Step();
    } catch (const std::exception& error) {
      std::fprintf(stderr, "lutra_soak: round of the seed %llu: %s\n",
                   static_cast<unsigned long long>(seed + rounds),
                   error.what());
      return 1;
    }
    ++rounds;
    if (!measured && rounds >= kFirstRounds && elapsed() >= seconds / 10) {
      early = MemoryNow();
      measured = true;
    }
  }
  const Memory late = MemoryNow();
  std::printf("%.0f seconds, %llu rounds of %zu steps, from the seed %llu on\n",
              elapsed(), static_cast<unsigned long long>(rounds),
              kStepsOfARound, static_cast<unsigned long long>(seed));
  for (size_t i = 0; i < kKinds; ++i) {
    std::printf("%12llu %s\n", static_cast<unsigned long long>(counts[i]),
                kNames[i]);
  }
  Print("after a tenth:", early);
  Print("at the end:", late);
  constexpr size_t kPages = size_t{1} << 18;  // what may come and go
  if (late.allocations > early.allocations ||
      late.resident > early.resident + kPages) {
    std::fprintf(stderr, "lutra_soak: the memory grows\n");
    return 1;
  }
  return 0;
}

}  // namespace
}  // namespace lutra

int main(int argc, char** argv) {
  try {
    std::map<std::string_view, std::string> options = {{"--seconds", "3600"},
                                                       {"--seed", "1"}};
    lutra::faults::ReadOptions(argc, argv, options);
    const uint64_t seconds =
        lutra::faults::Number("--seconds", options["--seconds"], 1);
    return lutra::Soak(static_cast<double>(seconds),
                       lutra::faults::Number("--seed", options["--seed"], 0));
  } catch (const std::exception& error) {
    std::fprintf(stderr, "lutra_soak: %s\n", error.what());
    return 2;
  }
}
