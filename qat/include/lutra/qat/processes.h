#ifndef LUTRA_QAT_PROCESSES_H_
#define LUTRA_QAT_PROCESSES_H_

#include <cstddef>

namespace lutra::qat {

// Processes that train one model together (TrainOptions::processes), each with
// a trainer of its own that has the same model, data and options: what MPI or
// another library has for them. Calls come from the thread that runs the
// trainer.
class Processes {
 public:
  virtual ~Processes() = default;

  virtual int Count() const = 0;
  virtual int Rank() const = 0;  // of this process, in [0, Count())

  // Bytes from one process to another, which receives as many; those between
  // two processes arrive in the order in which they were sent. They may wait
  // for each other. Both throw lutra::Error if the other process has ended.
  virtual void Send(int to, const void* data, size_t size) = 0;
  virtual void Receive(int from, void* data, size_t size) = 0;
};

}  // namespace lutra::qat

#endif  // LUTRA_QAT_PROCESSES_H_
