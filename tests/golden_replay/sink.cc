#include "tests/golden_replay/sink.h"

#include <exception>

namespace lutra::golden {

void RunCase(Sink& sink, const std::string& name,
             const std::function<void(Comparison&)>& replay) {
  if (!sink.Wants(name)) return;
  Comparison comparison;
  std::string failure;
  try {
    replay(comparison);
  } catch (const std::exception& error) {  // lutra's own, JSON's, bad_alloc
    failure = error.what();
  }
  sink.Add(comparison.Result(name, failure));
}

void Fail(Sink& sink, const std::string& name, const std::string& cause) {
  sink.Add(Comparison().Result(name, cause));
}

}  // namespace lutra::golden
