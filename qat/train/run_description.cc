#include "qat/train/run_description.h"

#include "lutra/runtime/error.h"

namespace lutra::qat {

using nlohmann::json;

void CheckRun(std::string_view what, const json& saved, const json& run,
              const std::string& file) {
  const std::string of_another = std::string(what) + " of another run: its ";
  for (const auto& [key, value] : run.items()) {
    const auto it = saved.find(key);
    if (it != saved.end() && *it == value) continue;
    throw Error::InFile(file, of_another + key + " is " +
                                  (it == saved.end() ? "none" : it->dump()) +
                                  ", this run's is " + value.dump());
  }
  for (const auto& [key, value] : saved.items()) {
    if (run.contains(key)) continue;
    throw Error::InFile(
        file, of_another + key + " is " + value.dump() + ", this run has none");
  }
}

}  // namespace lutra::qat
