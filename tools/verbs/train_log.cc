#include "tools/verbs/train_log.h"

#include <cerrno>
#include <filesystem>
#include <system_error>
#include <utility>

#include "lutra/runtime/error.h"
#include "runtime/base/mapped_file.h"
#include "tools/cli/csv.h"
#include "tools/cli/json.h"

namespace lutra::tools {
namespace {

Json OrNull(const std::optional<double>& value) {
  return value ? Json(*value) : Json(nullptr);
}

Error FileError(const std::string& path) {
  return Error::InFile(
      path, "cannot be written: " + std::generic_category().message(errno));
}

// Takes away what a full disk has left of a last line; what remains.
uint64_t CutBack(const std::string& path) {
  uint64_t lines = 0;
  uint64_t size = 0;
  {
    const MappedFile file(path);
    size = file.bytes().size();
    lines = file.text().rfind('\n') + 1;  // 0 without any
  }
  if (lines < size) std::filesystem::resize_file(path, lines);
  return lines;
}

}  // namespace

TrainLog::TrainLog(const std::string& path, bool append,
                   std::vector<std::string> quantized)
    : quantized_(std::move(quantized)),
      path_(path),
      csv_(std::filesystem::path(path).extension() == ".csv") {
  std::error_code ignored;
  append = append && std::filesystem::is_regular_file(path, ignored) &&
           CutBack(path) > 0;
  errno = 0;
  stream_.open(path, append ? std::ios::app : std::ios::trunc);
  if (!stream_) throw FileError(path);
  if (csv_ && !append) {
    const std::string text = ToCsv(Json::Array({ToJson({})}));
    stream_ << text.substr(0, text.find('\n') + 1);
  }
}

// JSON has the distances that were measured, CSV a column for each.
Json TrainLog::ToJson(const Line& line) const {
  const qat::TrainProgress& p = line.progress;
  Json json{{"step", p.step},
            {"epoch", p.epoch},
            {"loss", p.step_loss},
            {"learning_rate", p.learning_rate},
            {"gradient_norm", p.gradient_norm},
            {"rows_per_second", p.rows_per_second},
            {"inverse_slope", OrNull(p.inverse_slope)},
            {"validation_loss", OrNull(line.validation_loss)}};
  for (const std::string& name : quantized_) {
    const auto distance = line.grid_distances.find(name);
    const bool measured = distance != line.grid_distances.end();
    if (!measured && !csv_) continue;
    json[std::string(kGridDistance) + name] =
        measured ? Json(distance->second) : Json(nullptr);
  }
  return json;
}

void TrainLog::Add(const Line& line) {
  const Json json = ToJson(line);
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
