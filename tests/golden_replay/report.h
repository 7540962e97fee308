#ifndef LUTRA_TESTS_GOLDEN_REPLAY_REPORT_H_
#define LUTRA_TESTS_GOLDEN_REPLAY_REPORT_H_

#include <string>
#include <vector>

#include "tests/golden_replay/folders.h"

// Lines and JSON about what was replayed. Names and texts of hostile files
// come out as one line, and as valid UTF-8 in JSON.

namespace lutra::golden {

// Cases added up.
struct Summary {
  size_t cases = 0;
  size_t passed = 0;
  size_t values = 0;
  size_t mismatches = 0;
  double worst = 0.0;

  void Add(const CaseResult& result);
  void Add(const FolderResult& result);
  size_t failed() const { return cases - passed; }
};

// Without a newline at the end.
std::string Line(const CaseResult& result);
std::string Line(const Summary& summary);

std::string Json(const std::vector<FolderResult>& folders);

}  // namespace lutra::golden

#endif  // LUTRA_TESTS_GOLDEN_REPLAY_REPORT_H_
