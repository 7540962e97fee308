#include "lutra/packer/export.h"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "lutra/runtime/error.h"
#include "lutra/runtime/output_file.h"
#include "lutra/runtime/safetensors.h"
#include "packer/export/export_rows.h"
#include "packer/export/export_tensors.h"
#include "packer/export/packed_layout.h"
#include "packer/weights/row_source.h"

namespace lutra::packer {
namespace {

using nlohmann::json;

constexpr std::string_view kWeight = ".weight";

// A tensor of the folder.
struct Target {
  const ExportTensor* tensor;
  std::optional<PackedLayout> packed;
};

class Exporter {
 public:
  Exporter(const Model& model, ExportLayout layout)
      : model_(model), layout_(layout), source_(model) {
    source_.CheckFrequencies();
    for (const auto& [name, tensor] : source_.tensors()) {
      targets_[name] = {&tensor, Pack(name, tensor)};
    }
  }

  ExportReport Write(const std::filesystem::path& folder,
                     const ExportProgress& progress) {
    std::error_code error;
    std::filesystem::create_directories(folder, error);
    const std::filesystem::path path = folder / "model.safetensors";
    if (std::filesystem::equivalent(path, model_.path(), error)) {
      throw Error::InFile(path.string(),
                          "is the model itself: name another folder");
    }
    std::vector<TensorInfo> infos;
    for (const auto& [name, target] : targets_) {
      if (target.packed) {
        const auto parts = target.packed->Tensors(Stem(name));
        infos.insert(infos.end(), parts.begin(), parts.end());
      } else {
        infos.push_back(target.tensor->info);
      }
    }
    SafetensorsWriter writer(path, {{"format", "pt"}}, infos);
    ExportReport report;
    for (const auto& [name, target] : targets_) {
      if (progress) progress(name, report.tensors, targets_.size());
      ++report.tensors;
      WriteTarget(name, target, writer, report);
    }
    OutputFile config(folder / "config.json");
    config.Append(Config() + "\n");
    config.Commit();
    writer.Commit();
    report.file_bytes = std::filesystem::file_size(path);
    return report;
  }

 private:
  static std::string Stem(const std::string& name) {
    return name.substr(0, name.size() - kWeight.size());
  }

  // Nothing if it has to become floats.
  std::optional<PackedLayout> Pack(const std::string& name,
                                   const ExportTensor& tensor) const {
    const ExportPiece& only = tensor.pieces[0];
    const kernels::LutMatrix* matrix = model_.packed(only.name);
    if (layout_ == ExportLayout::kCompressedTensors && matrix != nullptr &&
        tensor.pieces.size() == 1 && only.step == 1 && only.first == 0 &&
        only.count == matrix->format.n && name.ends_with(kWeight) &&
        IsOfLinear(only.name)) {
      return PackedLayout::Of(*matrix);
    }
    return std::nullopt;
  }

  // Readers of the layout expect no packed embeddings.
  bool IsOfLinear(const std::string& name) const {
    const auto& nodes = model_.graph().nodes;
    return std::none_of(nodes.begin(), nodes.end(), [&](const Node& node) {
      return node.weight == name && node.op != OpType::kLinear;
    });
  }

  void WriteTarget(const std::string& name, const Target& target,
                   SafetensorsWriter& writer, ExportReport& report) const {
    if (target.packed) {
      ++report.packed;
      target.packed->Write(Stem(name),
                           [&](const std::string& part, size_t offset,
                               std::span<const std::byte> bytes) {
                             writer.WritePart(part, offset, bytes);
                           });
      return;
    }
    report.floats +=
        WriteFloats(name, *target.tensor, writer) ? size_t{1} : size_t{0};
  }

  // Returns whether it was packed.
  bool WriteFloats(const std::string& name, const ExportTensor& tensor,
                   SafetensorsWriter& writer) const {
    const DType dtype = tensor.info.dtype;
    const size_t row_bytes = tensor.columns * ByteSize(dtype);
    std::vector<float> scratch;
    if (tensor.transposed) {
      ExportRows rows(model_, {&tensor}, {});
      std::vector<uint8_t> bytes(row_bytes);
      for (size_t row = 0; row < rows.rows(); ++row) {
        StoreFloats(rows.Values(row), dtype, bytes.data());
        writer.WritePart(name, row * row_bytes,
                         std::as_bytes(std::span(bytes)));
      }
      return false;
    }
    bool was_packed = false;
    for (const ExportPiece& piece : tensor.pieces) {
      const TensorView& view = model_.file().Get(piece.name);
      was_packed = was_packed || model_.packed(piece.name) != nullptr;
      if (view.dtype == dtype && !tensor.undo) {
        // Rows that are neighbours here and there go in one piece.
        const size_t at_once = piece.step == 1 ? piece.count : 1;
        for (size_t i = 0; i < piece.count; i += at_once) {
          writer.WritePart(name, (piece.to + i * piece.step) * row_bytes,
                           view.data.subspan((piece.first + i) * row_bytes,
                                             at_once * row_bytes));
        }
        continue;
      }
      // A vector is a row here.
      const auto source = RowSource::Of(model_, piece.name);
      const size_t width = source.columns() / tensor.columns;
      for (size_t i = 0; i < piece.count; i += width) {
        auto row = source.Rows((piece.first + i) / width, 1, scratch);
        if (tensor.undo) row = Undone(tensor, row, scratch);
        writer.WritePart(name, (piece.to + i * piece.step) * row_bytes,
                         std::as_bytes(row));
      }
    }
    return was_packed;
  }

  // The values that importing makes these of.
  std::span<const float> Undone(const ExportTensor& tensor,
                                std::span<const float> row,
                                std::vector<float>& undone) const {
    std::vector<float> before(row.size());
    for (size_t i = 0; i < row.size(); ++i) {
      before[i] = tensor.undo(row[i]);
      if (tensor.transform(before[i]) != row[i]) {
        source_.Refuse(tensor.info.name,
                       "was changed by the import, which cannot be undone");
      }
    }
    undone = std::move(before);
    return undone;
  }

  // The configuration, with what says how weights are packed.
  std::string Config() const {
    // A copy has no other values below it than those of a configuration.
    json config = source_.config();
    if (source_.untied()) config["tie_word_embeddings"] = false;
    json groups = json::object();
    json ignore = json::array();
    std::map<std::pair<size_t, size_t>, json> targets;
    for (const auto& [name, target] : targets_) {
      if (!name.ends_with(kWeight)) continue;
      if (target.packed) {
        targets[{target.packed->bits(), target.packed->group_size()}].push_back(
            Stem(name));
      } else if (target.tensor->columns > 1) {
        ignore.push_back(Stem(name));
      }
    }
    for (const auto& [form, modules] : targets) {
      const auto& [bits, group_size] = form;
      json weights = {{"num_bits", bits},
                      {"type", "int"},
                      {"symmetric", true},
                      {"dynamic", false},
                      {"strategy", group_size == 0 ? "channel" : "group"},
                      {"group_size", nullptr}};
      if (group_size != 0) weights["group_size"] = group_size;
      groups["group_" + std::to_string(groups.size())] = {
          {"targets", modules},
          {"weights", std::move(weights)},
          {"input_activations", nullptr},
          {"output_activations", nullptr}};
    }
    if (!groups.empty()) {
      config["quantization_config"] = {{"quant_method", "compressed-tensors"},
                                       {"format", "pack-quantized"},
                                       {"quantization_status", "compressed"},
                                       {"config_groups", std::move(groups)},
                                       {"ignore", std::move(ignore)}};
    }
    return config.dump(2);
  }

  const Model& model_;
  ExportLayout layout_;
  ExportTensors source_;
  std::map<std::string, Target> targets_;
};

constexpr std::pair<ExportLayout, std::string_view> kLayouts[] = {
    {ExportLayout::kFloat, "float"},
    {ExportLayout::kCompressedTensors, "compressed-tensors"}};

}  // namespace

std::string_view Name(ExportLayout layout) {
  return std::find_if(std::begin(kLayouts), std::end(kLayouts),
                      [&](const auto& row) { return row.first == layout; })
      ->second;
}

ExportLayout ParseExportLayout(std::string_view name) {
  for (const auto& [layout, known] : kLayouts) {
    if (known == name) return layout;
  }
  throw Error("unknown layout '" + std::string(name) +
              "'; known: float, compressed-tensors");
}

ExportReport ExportModel(const Model& model,
                         const std::filesystem::path& folder,
                         ExportLayout layout, const ExportProgress& progress) {
  return Exporter(model, layout).Write(folder, progress);
}

}  // namespace lutra::packer
