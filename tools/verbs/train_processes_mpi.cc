// Of MPI's C interface alone.
#define OMPI_SKIP_MPICXX
#define MPICH_SKIP_MPICXX
#include <mpi.h>

#include <algorithm>
#include <chrono>
#include <string>
#include <thread>
#include <utility>

#include "lutra/runtime/error.h"
#include "tools/verbs/train_processes.h"

namespace lutra::tools {
namespace {

using Clock = std::chrono::steady_clock;

// mpirun gives the others a second to end where one has.
constexpr std::chrono::milliseconds kPatience(50);
constexpr size_t kLargestMessage = size_t{1} << 30;

class World : public MpiProcesses {
 public:
  explicit World(std::function<bool()> ending) : ending_(std::move(ending)) {
    int level = 0;
    if (MPI_Init_thread(nullptr, nullptr, MPI_THREAD_FUNNELED, &level) !=
            MPI_SUCCESS ||
        level < MPI_THREAD_FUNNELED) {
      throw Error(ErrorCode::kIo, "MPI cannot start");
    }
    MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank_);
    MPI_Comm_size(MPI_COMM_WORLD, &count_);
  }

  int Count() const override { return count_; }
  int Rank() const override { return rank_; }
  void Leave() override { MPI_Finalize(); }

  void Send(int to, const void* data, size_t size) override {
    const char* const bytes = static_cast<const char*>(data);
    Move(to, size, [&](size_t begin, int part, MPI_Request* request) {
      return MPI_Isend(bytes + begin, part, MPI_BYTE, to, 0, MPI_COMM_WORLD,
                       request);
    });
  }

  void Receive(int from, void* data, size_t size) override {
    char* const bytes = static_cast<char*>(data);
    Move(from, size, [&](size_t begin, int part, MPI_Request* request) {
      return MPI_Irecv(bytes + begin, part, MPI_BYTE, from, 0, MPI_COMM_WORLD,
                       request);
    });
  }

 private:
  // In parts that MPI's int can count.
  template <typename F>
  void Move(int other, size_t size, const F& start) const {
    for (size_t begin = 0; begin < size; begin += kLargestMessage) {
      const auto part =
          static_cast<int>(std::min(size - begin, kLargestMessage));
      MPI_Request request = MPI_REQUEST_NULL;
      const int begun = start(begin, part, &request);
      Wait(other, request, begun);
    }
  }

  // MPI's own waiting would not see a signal. The processor is left to others
  // after a while: ranks may share it.
  void Wait(int other, MPI_Request& request, int begun) const {
    int done = 0;
    int polls = 0;
    Clock::time_point end = Clock::time_point::max();
    while (begun == MPI_SUCCESS) {
      if (MPI_Test(&request, &done, MPI_STATUS_IGNORE) != MPI_SUCCESS) break;
      if (done != 0) return;
      if (ending_()) {
        end = std::min(end, Clock::now() + kPatience);
        if (Clock::now() >= end) break;
      }
      if (++polls > 1000) {
        std::this_thread::sleep_for(std::chrono::microseconds(50));
      }
    }
    throw Error(ErrorCode::kIo, "process " + std::to_string(other + 1) +
                                    " of " + std::to_string(count_) +
                                    " does not answer");
  }

  std::function<bool()> ending_;
  int rank_ = 0;
  int count_ = 1;
};

}  // namespace

std::unique_ptr<MpiProcesses> StartMpi(std::function<bool()> ending) {
  return std::make_unique<World>(std::move(ending));
}

}  // namespace lutra::tools
