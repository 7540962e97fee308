#include "lutra/packer/export.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <utility>

#include "lutra/runtime/error.h"
#include "lutra/runtime/output_file.h"
#include "lutra/runtime/safetensors.h"
#include "lutra/runtime/tokenizer.h"
#include "packer/architectures/architecture.h"
#include "packer/export/packed_layout.h"
#include "packer/weights/row_source.h"
#include "runtime/base/json_object.h"

namespace lutra::packer {
namespace {

using nlohmann::json;

constexpr std::string_view kWeight = ".weight";

// Rows of a tensor of the model, and where they are in one of the folder.
struct Piece {
  std::string name;  // in the model
  size_t first = 0;  // row there
  size_t count = 0;
  size_t to = 0;  // first row in the folder's
  size_t step = 1;
};

// A tensor of the folder.
struct Target {
  TensorInfo info;
  size_t columns = 1;
  std::vector<Piece> pieces;
  std::optional<PackedLayout> packed;
};

class Exporter {
 public:
  Exporter(const Model& model, ExportLayout layout)
      : model_(model), layout_(layout) {
    const auto& metadata = model.file().metadata();
    const auto entry = metadata.find(std::string(kConfigKey));
    if (entry == metadata.end()) {
      throw Error::InFile(
          model.path(),
          "has no configuration (metadata 'lutra.config'): only models that "
          "were imported from a Hugging Face folder or a GGUF file, by this "
          "version or a later one, can be exported",
          ErrorCode::kUnsupported);
    }
    document_ = ParseJson(entry->second, model.path(), "'lutra.config'");
    FindTargets();
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
        infos.push_back(target.info);
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

  [[noreturn]] void Refuse(const std::string& tensor,
                           const std::string& cause) const {
    throw Error::InTensor(model_.path(), tensor, cause,
                          ErrorCode::kUnsupported);
  }

  void FindTargets() {
    for (const Node& node : model_.graph().nodes) {
      if (node.op == OpType::kGather && node.weight.starts_with("lutra.")) {
        Refuse(node.weight,
               "says that columns are in activation order, which cannot be "
               "exported; import with --dequantize for that");
      }
    }
    const JsonObject config(document_.root(), model_.path(), "'lutra.config'");
    const Network network = BuildNetwork(config);
    std::set<std::string> known;
    for (const NetworkTensor& tensor : network.tensors) {
      known.insert(tensor.name);
      if (tensor.parts.empty()) {  // what checkpoints do not hold
        CheckValues(tensor);
        continue;
      }
      const bool shared =
          tensor.name == network.embedding || tensor.name == network.output;
      if (model_.file().Find(tensor.name) == nullptr) {
        if (shared && network.tied) continue;
        Refuse(tensor.name, "is missing");
      }
      CheckShape(tensor);
      if (tensor.transform) {
        Refuse(tensor.name,
               "was changed by the import, which cannot be undone");
      }
      AddPieces(tensor);
    }
    for (const TensorView& tensor : model_.file().tensors()) {
      if (known.contains(tensor.name) || tensor.name == kTokenizerTensor) {
        continue;
      }
      Refuse(tensor.name, "has no place in the network of its configuration");
    }
    for (auto& [name, target] : targets_) Finish(name, target);
    // One that was tied may have got an output matrix of its own.
    untied_ = network.tied && network.embedding != network.output &&
              model_.file().Find(network.embedding) != nullptr &&
              model_.file().Find(network.output) != nullptr;
  }

  // The configuration is a text in the file, which may be another model's.
  void CheckShape(const NetworkTensor& tensor) const {
    std::vector<int64_t> shape = model_.file().Get(tensor.name).shape;
    std::vector<int64_t> wanted = tensor.shape;
    if (const kernels::LutMatrix* matrix = model_.packed(tensor.name)) {
      shape = {int64_t{matrix->format.n}, int64_t{matrix->format.k}};
      while (wanted.size() > 2) {
        wanted[1] *= wanted[0];
        wanted.erase(wanted.begin());
      }
    }
    if (shape == wanted) return;
    Refuse(tensor.name, "has the shape " + ShapeToString(shape) +
                            ", its configuration says " +
                            ShapeToString(wanted));
  }

  // Readers compute the frequencies of the rotary embedding anew. Ours may be
  // rounded to 16 bits, or come from elsewhere (rope_freqs.weight of GGUF).
  void CheckValues(const NetworkTensor& tensor) const {
    if (model_.file().Find(tensor.name) == nullptr) return;
    constexpr float kRounding = 1.0f / 128;
    std::vector<float> scratch;
    const auto source = RowSource::Of(model_, tensor.name);
    const auto found = source.Rows(0, source.rows(), scratch);
    const auto near = [](float a, float b) {
      return std::abs(a - b) <= kRounding * std::abs(b);
    };
    for (const auto* values : {&tensor.values, &tensor.long_values}) {
      if (std::equal(found.begin(), found.end(), values->begin(), values->end(),
                     near)) {
        return;
      }
    }
    Refuse(tensor.name,
           "has other values than its configuration says, which a folder "
           "cannot hold");
  }

  void AddPieces(const NetworkTensor& tensor) {
    size_t row = 0;
    for (const TensorPart& part : tensor.parts) {
      if (part.transposed) {
        Refuse(tensor.name, "is stored transposed, which is not supported");
      }
      Target& target = targets_[part.name];
      target.info.name = part.name;
      target.info.shape = part.stored;
      size_t rows = 1;
      for (size_t i = 0; i + 1 < std::max<size_t>(part.stored.size(), 2); ++i) {
        rows *= static_cast<size_t>(part.stored[i]);
      }
      target.columns =
          part.stored.size() > 1 ? static_cast<size_t>(part.stored.back()) : 1;
      Piece piece;
      piece.name = tensor.name;
      piece.first = row;
      piece.to = static_cast<size_t>(part.first);
      piece.step = static_cast<size_t>(part.step);
      piece.count = part.count == 0 ? rows : static_cast<size_t>(part.count);
      if (part.index >= 0) {
        const size_t each = rows / static_cast<size_t>(part.stored.front());
        piece.to += static_cast<size_t>(part.index) * each;
        if (part.count == 0) piece.count = each;
      }
      row += piece.count;
      target.pieces.push_back(std::move(piece));
    }
  }

  // Its type: that of its pieces if they have one, float32 if one is packed.
  void Finish(const std::string& name, Target& target) const {
    size_t rows = 0;
    target.info.dtype = model_.file().Get(target.pieces[0].name).dtype;
    for (const Piece& piece : target.pieces) {
      rows += piece.count;
      const DType dtype = model_.file().Get(piece.name).dtype;
      if (dtype == DType::kUInt8 || dtype != target.info.dtype) {
        target.info.dtype = DType::kFloat32;
      }
    }
    if (rows * target.columns != target.info.ElementCount()) {
      Refuse(name, "is not whole in the model");
    }
    const Piece& only = target.pieces[0];
    const kernels::LutMatrix* matrix = model_.packed(only.name);
    if (layout_ == ExportLayout::kCompressedTensors && matrix != nullptr &&
        target.pieces.size() == 1 && only.step == 1 && only.first == 0 &&
        only.count == matrix->format.n && name.ends_with(kWeight) &&
        IsOfLinear(only.name)) {
      target.packed = PackedLayout::Of(*matrix);
    }
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
    const size_t size = ByteSize(target.info.dtype);
    std::vector<float> scratch;
    bool was_packed = false;
    for (const Piece& piece : target.pieces) {
      const TensorView& view = model_.file().Get(piece.name);
      was_packed = was_packed || model_.packed(piece.name) != nullptr;
      // A vector's elements are rows here.
      const size_t row_bytes = target.columns * size;
      if (view.dtype == target.info.dtype && piece.step == 1) {
        writer.WritePart(name, piece.to * row_bytes,
                         view.data.subspan(piece.first * row_bytes,
                                           piece.count * row_bytes));
        continue;
      }
      if (view.dtype == target.info.dtype) {
        for (size_t i = 0; i < piece.count; ++i) {
          writer.WritePart(
              name, (piece.to + i * piece.step) * row_bytes,
              view.data.subspan((piece.first + i) * row_bytes, row_bytes));
        }
        continue;
      }
      const auto source = RowSource::Of(model_, piece.name);
      for (size_t i = 0; i < piece.count; ++i) {
        const auto row = source.Rows(piece.first + i, 1, scratch);
        writer.WritePart(name, (piece.to + i * piece.step) * row_bytes,
                         std::as_bytes(row));
      }
    }
    report.floats += was_packed ? size_t{1} : size_t{0};
  }

  // The configuration, with what says how weights are packed.
  std::string Config() const {
    // A copy has no other values below it than those of a configuration.
    json config = document_.root();
    if (untied_) config["tie_word_embeddings"] = false;
    json groups = json::object();
    json ignore = json::array();
    std::map<std::pair<size_t, size_t>, json> targets;
    for (const auto& [name, target] : targets_) {
      if (!name.ends_with(kWeight)) continue;
      if (target.packed) {
        targets[{target.packed->bits(), target.packed->group_size()}].push_back(
            Stem(name));
      } else if (target.columns > 1) {
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
  JsonDocument document_;
  std::map<std::string, Target> targets_;
  bool untied_ = false;
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
