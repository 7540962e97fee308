#ifndef LUTRA_QAT_TRAIN_RUN_DESCRIPTION_H_
#define LUTRA_QAT_TRAIN_RUN_DESCRIPTION_H_

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace lutra::qat {

// Throws lutra::Error unless `saved`, the description in a file of what made
// it, is `run`, both JSON objects. `what` the file is, e.g. "checkpoint", is
// said in front.
void CheckRun(std::string_view what, const nlohmann::json& saved,
              const nlohmann::json& run, const std::string& file);

}  // namespace lutra::qat

#endif  // LUTRA_QAT_TRAIN_RUN_DESCRIPTION_H_
