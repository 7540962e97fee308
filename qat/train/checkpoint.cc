#include "qat/train/checkpoint.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "lutra/qat/optimizer_state.h"
#include "lutra/runtime/error.h"
#include "lutra/runtime/model.h"
#include "lutra/runtime/safetensors.h"
#include "qat/train/moving_ranges.h"
#include "qat/train/run_description.h"
#include "runtime/base/file_descriptor.h"
#include "runtime/base/folder_entries.h"
#include "runtime/base/json.h"
#include "runtime/base/make_folder.h"
#include "runtime/base/system_file.h"

namespace lutra::qat {
namespace {

using nlohmann::json;

constexpr std::string_view kModelFile = "model.safetensors";
constexpr std::string_view kStatePrefix = "optimizer-";
// Ties the state to the model: both carry the step.
constexpr std::string_view kStepKey = "lutra.train_step";

std::filesystem::path StatePath(const std::filesystem::path& folder,
                                int64_t step) {
  return folder /
         (std::string(kStatePrefix) + std::to_string(step) + ".safetensors");
}

// Removes the states of earlier checkpoints; what cannot be removed does no
// harm.
void RemoveOtherStates(const std::filesystem::path& folder,
                       const std::filesystem::path& keep) {
  std::vector<std::filesystem::path> old;
  ForEachEntry(folder, [&](std::string_view name) {
    if (name.starts_with(kStatePrefix) && name.ends_with(".safetensors") &&
        name != keep.filename().string()) {
      old.push_back(folder / name);
    }
  });
  std::error_code ignored;
  for (const auto& path : old) std::filesystem::remove(path, ignored);
}

template <typename T>
T Number(const json& object, const char* key, const std::string& file) {
  const auto it = object.find(key);
  if (it == object.end() || !it->is_number() ||
      (std::is_integral_v<T> && !it->is_number_unsigned())) {
    throw Error::InFile(file,
                        std::string("checkpoint: no number '") + key + "'");
  }
  return it->template get<T>();
}

// Points to the values that replace those of the model, after all are checked.
std::vector<std::span<const float>> CheckParameters(
    const SafetensorsFile& file, const TrainableModel& model) {
  std::vector<std::span<const float>> result;
  for (const auto& [name, tensor] : model.parameters) {
    const TensorView& view = file.Get(name);
    const auto packed = model.packed.find(name);
    if (packed != model.packed.end()) {
      if (!std::equal(view.data.begin(), view.data.end(),
                      packed->second.bytes.begin(),
                      packed->second.bytes.end())) {
        throw Error::InTensor(file.path(), name,
                              "checkpoint of another model: its bytes differ");
      }
      result.emplace_back(tensor.values);
      continue;
    }
    if (view.shape != tensor.shape) {
      throw Error::InTensor(file.path(), name,
                            "checkpoint of another model: its shape is " +
                                ShapeToString(view.shape) + ", not " +
                                ShapeToString(tensor.shape));
    }
    const std::span<const float> values = view.Floats(file.path());
    if (!std::all_of(values.begin(), values.end(),
                     [](float value) { return std::isfinite(value); })) {
      throw Error::InTensor(file.path(), name,
                            "has a value that is not finite");
    }
    result.push_back(values);
  }
  return result;
}

const std::string& Metadata(const SafetensorsFile& file, std::string_view key) {
  const auto it = file.metadata().find(std::string(key));
  if (it == file.metadata().end()) {
    throw Error::InFile(file.path(), "is not a training checkpoint: no '" +
                                         std::string(key) + "'");
  }
  return it->second;
}

// Those that move in the run.
RangeStatistics::Entries ReadRanges(const json& run, const json& saved,
                                    const std::string& file) {
  RangeStatistics::Entries ranges;
  const auto moving = run.find(kMovingRangesKey);
  if (moving == run.end()) return ranges;
  const auto fail = [&file]() {
    throw Error::InFile(file, "checkpoint: ranges are no counts and sums");
  };
  const auto found = saved.find("ranges");
  if (found == saved.end() || !found->is_object() ||
      found->size() != moving->size()) {
    fail();
  }
  for (const auto& [value, numbers] : found->items()) {
    const bool typed = numbers.is_array() && numbers.size() == 4 &&
                       numbers[0].is_number_unsigned() &&
                       numbers[1].is_number() && numbers[2].is_number() &&
                       numbers[3].is_number();
    if (!typed || !moving->contains(value) || numbers[0].get<uint64_t>() == 0) {
      fail();
    }
    RangeStatistics::Entry& entry = ranges[value];
    entry.count = numbers[0].get<uint64_t>();
    entry.sum_of_maxima = numbers[1].get<double>();
    entry.sum_of_least = numbers[2].get<double>();
    entry.sum_of_most = numbers[3].get<double>();
    if (!(entry.sum_of_maxima >= 0 && entry.sum_of_least <= 0 &&
          entry.sum_of_most >= 0)) {
      fail();
    }
  }
  return ranges;
}

// But for the ranges that move.
void CheckGraph(const SafetensorsFile& file,
                const RangeStatistics::Entries& ranges, const Graph& graph) {
  std::set<std::string> moving;
  for (const auto& [value, entry] : ranges) moving.insert(value);
  const Graph saved = ParseGraph(Metadata(file, kGraphKey), file.path());
  if (GraphToJson(WithoutRangesOf(moving, saved)) !=
      GraphToJson(WithoutRangesOf(moving, graph))) {
    throw Error::InFile(file.path(),
                        "checkpoint of another model: its graph differs");
  }
}

}  // namespace

void SaveCheckpoint(const std::filesystem::path& folder, const json& run,
                    const TrainPosition& position, const TrainableModel& model,
                    const SchemeMap& schemes, Optimizer& optimizer) {
  MakeFolder(folder);
  // Of several processes, one at a time; where folders cannot be locked, as it
  // comes.
  const FileDescriptor lock = system_file::LockFolder(folder);
  const std::filesystem::path state = StatePath(folder, position.step);
  SaveState(state, optimizer,
            {{std::string(kStepKey), std::to_string(position.step)}});
  json train = {{"run", run},
                {"position",
                 {{"step", position.step},
                  {"loss_sum", position.loss_sum},
                  {"correct", position.correct},
                  {"seen", position.seen}}}};
  for (const auto& [value, entry] : position.ranges) {
    train["position"]["ranges"][value] = {entry.count, entry.sum_of_maxima,
                                          entry.sum_of_least,
                                          entry.sum_of_most};
  }
  WriteModel(folder / kModelFile, model, schemes,
             {{std::string(kTrainKey), train.dump()}});
  RemoveOtherStates(folder, state);
}

TrainPosition LoadCheckpoint(const std::filesystem::path& folder,
                             const json& run, TrainableModel& model,
                             Optimizer& optimizer) {
  const SafetensorsFile file = SafetensorsFile::Open(folder / kModelFile);
  const JsonDocument document =
      ParseJson(Metadata(file, kTrainKey), file.path(), kTrainKey);
  const json& train = document.root();
  if (!train.is_object() || !train.contains("run") ||
      !train["run"].is_object() || !train.contains("position") ||
      !train["position"].is_object()) {
    throw Error::InFile(file.path(), "checkpoint: no run and position");
  }
  CheckRun("checkpoint", train["run"], run, file.path());
  const json& saved = train["position"];
  TrainPosition position;
  position.ranges = ReadRanges(run, saved, file.path());
  CheckGraph(file, position.ranges, model.graph);
  // Unsigned, so that what follows is at least 0.
  position.step =
      static_cast<int64_t>(Number<uint32_t>(saved, "step", file.path()));
  position.loss_sum = Number<double>(saved, "loss_sum", file.path());
  position.correct = Number<size_t>(saved, "correct", file.path());
  position.seen = Number<size_t>(saved, "seen", file.path());
  const std::vector<std::span<const float>> values =
      CheckParameters(file, model);

  const std::filesystem::path state = StatePath(folder, position.step);
  const SafetensorsFile state_file = SafetensorsFile::Open(state);
  if (Metadata(state_file, kStepKey) != std::to_string(position.step)) {
    throw Error::InFile(state.string(), "is the state of another step");
  }
  LoadState(state, optimizer);
  auto source = values.begin();
  for (auto& [name, tensor] : model.parameters) {
    if (source->data() != tensor.values.data()) {
      std::copy(source->begin(), source->end(), tensor.values.begin());
    }
    ++source;
  }
  return position;
}

}  // namespace lutra::qat
