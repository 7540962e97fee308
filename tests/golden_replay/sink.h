#ifndef LUTRA_TESTS_GOLDEN_REPLAY_SINK_H_
#define LUTRA_TESTS_GOLDEN_REPLAY_SINK_H_

#include <cstddef>
#include <functional>
#include <string>

#include "tests/golden_replay/comparison.h"

// What a replay tells about its cases.

namespace lutra::golden {

// Takes the cases of one folder, in the order they are replayed.
class Sink {
 public:
  virtual ~Sink() = default;
  // Whether the user asked for a case of that name; the others need no work.
  virtual bool Wants(const std::string& name) = 0;
  virtual void Add(CaseResult result) = 0;
};

// Replays a case if it is wanted. `replay` compares; what it throws fails the
// case.
void RunCase(Sink& sink, const std::string& name,
             const std::function<void(Comparison&)>& replay);

// A file or folder that cannot be replayed: a failed case, whatever is wanted.
void Fail(Sink& sink, const std::string& name, const std::string& cause);

}  // namespace lutra::golden

#endif  // LUTRA_TESTS_GOLDEN_REPLAY_SINK_H_
