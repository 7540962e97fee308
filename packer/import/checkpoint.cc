#include "packer/import/checkpoint.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "lutra/runtime/error.h"
#include "packer/import/stored/group_order.h"
#include "packer/import/stored/holding.h"

namespace lutra::packer {
namespace {

// Runs a step whose errors are bare causes.
template <typename Step>
auto Naming(const StoredWeight& weight, const Step& step) {
  try {
    return step();
  } catch (const Error& error) {
    throw Error::InTensor(weight.file, weight.tensor,
                          std::string("cannot be held: ") + error.what() +
                              " (" + weight.format +
                              "); --dequantize keeps its values as floats",
                          ErrorCode::kUnsupported);
  }
}

}  // namespace

ImportTensor HeldTensor(const std::string& name, const StoredWeight& weight,
                        bool dequantize) {
  ImportTensor tensor;
  tensor.info.name = name;
  tensor.stored = ImportedWeight();
  ImportedWeight& imported = *tensor.stored;
  imported.name = name;
  imported.origin = weight.name;
  imported.reordered = weight.reordered;
  imported.format = weight.format;
  imported.rows = weight.rows;
  imported.columns = weight.columns;
  imported.recovered = weight.from_floats.has_value();
  if (dequantize) {
    imported.dequantized = true;
    tensor.info.dtype = DType::kFloat32;
    tensor.info.shape = {static_cast<int64_t>(weight.rows),
                         static_cast<int64_t>(weight.columns)};
    tensor.write = [weight](const TensorParts& parts, ImportedWeight&) {
      try {
        WriteFloats(weight, parts);
      } catch (const Error& error) {
        throw Error::InTensor(weight.file, weight.tensor, error.what());
      }
    };
  } else if (!weight.group_of_column.empty()) {
    std::vector<uint32_t> order;
    tensor = HeldTensor(
        name, Naming(weight, [&] { return SortedByGroup(weight, order); }),
        dequantize);
    tensor.stored->gathered = true;
    tensor.column_order = std::move(order);
    return tensor;
  } else {
    const Holding holding = Naming(weight, [&] { return Hold(weight); });
    imported.exact =
        holding.exact && (!weight.from_floats || weight.from_floats->lossless);
    tensor.info.dtype = DType::kUInt8;
    tensor.info.shape = {
        static_cast<int64_t>(kernels::BlobBytes(holding.format))};
    tensor.write = [weight, holding](const TensorParts& parts,
                                     ImportedWeight& result) {
      const Fidelity fidelity =
          Naming(weight, [&] { return WriteBlob(weight, holding, parts); });
      result.sqnr_db = fidelity.SqnrDb();
      result.max_error = fidelity.max_error;
      result.groups = fidelity.groups;
      result.exact_groups = fidelity.exact_groups;
    };
  }
  imported.bytes = tensor.info.ByteCount();
  return tensor;
}

Checkpoint::Checkpoint(const std::filesystem::path& folder,
                       const JsonObject& config)
    : name_(folder.string()),
      plain_(OpenRawTensors(folder, SingleFileName(folder))),
      stored_(ReadStoredWeights(folder, config, plain_, notes_)) {}

Checkpoint::Checkpoint(std::string name, RawTensors plain, StoredWeights stored)
    : name_(std::move(name)),
      plain_(std::move(plain)),
      stored_(std::move(stored)) {}

void Checkpoint::Add(const std::filesystem::path& path,
                     std::string_view prefix) {
  const auto file = std::make_shared<const SafetensorsFile>(
      SafetensorsFile::Open(std::filesystem::path(name_) / path));
  for (const TensorView& tensor : file->tensors()) {
    RawTensor& raw = plain_.tensors[std::string(prefix) + tensor.name];
    raw.view = tensor;
    raw.file = file->path();
    raw.owner = file;
  }
}

bool Checkpoint::Has(std::string_view name) const {
  return plain_.Find(name) != nullptr || stored_.find(name) != stored_.end();
}

const TensorView* Checkpoint::Find(std::string_view name) const {
  const RawTensor* found = plain_.Find(name);
  return found == nullptr ? nullptr : &found->view;
}

bool Checkpoint::Same(std::string_view a, std::string_view b) const {
  const TensorView* first = Find(a);
  const TensorView* second = Find(b);
  return first != nullptr && second != nullptr &&
         first->dtype == second->dtype && first->shape == second->shape &&
         std::equal(first->data.begin(), first->data.end(),
                    second->data.begin(), second->data.end());
}

const RawTensor& Checkpoint::Get(std::string_view name) const {
  const RawTensor* found = plain_.Find(name);
  if (found == nullptr) throw Error::InTensor(name_, name, "is missing");
  return *found;
}

const StoredWeight* Checkpoint::FindStored(std::string_view name) const {
  const auto found = stored_.find(name);
  return found == stored_.end() ? nullptr : &found->second;
}

std::string Checkpoint::FileOf(std::string_view name) const {
  const RawTensor* found = plain_.Find(name);
  if (found != nullptr) return found->file;
  const auto stored = stored_.find(name);
  return stored == stored_.end() ? name_ : stored->second.file;
}

std::vector<std::string> Checkpoint::Names() const {
  std::vector<std::string> names;
  for (const auto& [name, tensor] : plain_.tensors) names.push_back(name);
  for (const auto& [name, weight] : stored_) names.push_back(name);
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace lutra::packer
