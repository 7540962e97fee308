#include "tools/verbs/train_log.h"

#include <cerrno>
#include <filesystem>
#include <system_error>

#include "lutra/runtime/error.h"
#include "tools/cli/csv.h"
#include "tools/cli/json.h"

namespace lutra::tools {
namespace {

Json ToJson(const qat::TrainProgress& p) {
  Json json{{"step", p.step},
            {"epoch", p.epoch},
            {"loss", p.step_loss},
            {"learning_rate", p.learning_rate},
            {"gradient_norm", p.gradient_norm},
            {"rows_per_second", p.rows_per_second}};
  json["inverse_slope"] =
      p.inverse_slope ? Json(*p.inverse_slope) : Json(nullptr);
  return json;
}

Error FileError(const std::string& path) {
  return Error::InFile(
      path, "cannot be written: " + std::generic_category().message(errno));
}

}  // namespace

TrainLog::TrainLog(const std::string& path, bool append)
    : path_(path), csv_(std::filesystem::path(path).extension() == ".csv") {
  std::error_code ignored;
  append = append && std::filesystem::exists(path, ignored);
  errno = 0;
  stream_.open(path, append ? std::ios::app : std::ios::trunc);
  if (!stream_) throw FileError(path);
  if (csv_ && !append) {
    const std::string text = ToCsv(Json::Array({ToJson({})}));
    stream_ << text.substr(0, text.find('\n') + 1);
  }
}

void TrainLog::Add(const qat::TrainProgress& progress) {
  const Json json = ToJson(progress);
  if (csv_) {
    const std::string text = ToCsv(Json::Array({json}));
    stream_ << text.substr(text.find('\n') + 1);
  } else {
    stream_ << json.Dump() << "\n";
  }
  errno = 0;
  if (!stream_.flush()) throw FileError(path_);
}

}  // namespace lutra::tools
