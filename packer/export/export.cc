#include "lutra/packer/export.h"

#include <algorithm>
#include <deque>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <utility>

#include "lutra/runtime/error.h"
#include "lutra/runtime/output_file.h"
#include "lutra/runtime/safetensors.h"
#include "packer/export/export_rows.h"
#include "packer/export/export_tensors.h"
#include "packer/export/packed_layout.h"
#include "packer/export/tokenizer_files.h"
#include "packer/weights/row_source.h"
#include "runtime/base/make_folder.h"

namespace lutra::packer {
namespace {

using nlohmann::json;

// A tensor of the folder.
struct Target {
  const ExportTensor* tensor;
  std::unique_ptr<PackedLayout> packed;  // nullptr: floats
};

class Exporter {
 public:
  Exporter(const Model& model, const ExportOptions& options)
      : model_(model), options_(options), source_(model) {
    source_.CheckFrequencies();
    for (const auto& [name, tensor] : source_.tensors()) {
      if (IsOfHead(name)) {
        if (model_.packed(name) != nullptr) RefuseFloats(name);
        continue;
      }
      auto packed = Pack(name, tensor);
      const bool turned = tensor.of_outputs && packed == nullptr;
      targets_.emplace(
          name, Target{turned ? &Turned(tensor) : &tensor, std::move(packed)});
    }
  }

  ExportReport Write(const std::filesystem::path& folder,
                     const ExportProgress& progress) {
    MakeFolder(folder);
    std::error_code error;
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
    using Files = std::vector<std::pair<std::string, std::string>>;
    const Files files =
        options_.tokenizer ? TokenizerFiles(model_, Padding()) : Files();
    SafetensorsWriter writer(
        path, DescribeInMetadata(options_.layout, Description()), infos);
    ExportReport report;
    report.notes = source_.Notes();
    for (const auto& [name, target] : targets_) {
      if (progress) progress(name, report.tensors, targets_.size());
      ++report.tensors;
      WriteTarget(name, target, writer, report);
    }
    WriteText(folder / "config.json", Config().dump(2) + "\n");
    for (const auto& [name, text] : files) WriteText(folder / name, text);
    WriteModules(folder, report);
    writer.Commit();
    report.file_bytes = std::filesystem::file_size(path);
    return report;
  }

 private:
  // What makes a vector of a text, as sentence-transformers has it.
  void WriteModules(const std::filesystem::path& folder,
                    ExportReport& report) const {
    const auto& head = source_.head();
    if (!head) return;
    json modules = json::array();
    const auto add = [&](const char* type) {
      const size_t index = modules.size();
      const std::string path =
          index == 0 ? "" : std::to_string(index) + "_" + type;
      modules.push_back(
          {{"idx", index},
           {"name", std::to_string(index)},
           {"path", path},
           {"type", std::string("sentence_transformers.models.") + type}});
      return folder / path;
    };
    add("Transformer");
    using Pool = EncoderHead::Pool;
    WriteConfig(add("Pooling"),
                {{"word_embedding_dimension", source_.network().width},
                 {"pooling_mode_mean_tokens", head->pool == Pool::kMean},
                 {"pooling_mode_cls_token", head->pool == Pool::kFirst},
                 {"pooling_mode_lasttoken", head->pool == Pool::kLast}});
    for (const EncoderHead::Dense& dense : head->dense) {
      const std::filesystem::path own = add("Dense");
      const std::string function =
          dense.activation ? "activation.Tanh" : "linear.Identity";
      WriteConfig(own,
                  {{"in_features", dense.inputs},
                   {"out_features", dense.outputs},
                   {"bias", !dense.bias.empty()},
                   {"activation_function", "torch.nn.modules." + function}});
      WriteDense(own / "model.safetensors", dense, report);
    }
    if (head->unit_length) add("Normalize");
    WriteText(folder / "modules.json", modules.dump(2) + "\n");
  }

  static void WriteConfig(const std::filesystem::path& folder,
                          const json& config) {
    MakeFolder(folder);
    WriteText(folder / "config.json", config.dump(2) + "\n");
  }

  void WriteDense(const std::filesystem::path& path,
                  const EncoderHead::Dense& dense, ExportReport& report) const {
    std::vector<std::pair<std::string, const ExportTensor*>> tensors;
    std::vector<TensorInfo> infos;
    for (const auto& [name, from] : {std::pair("linear.weight", dense.weight),
                                     std::pair("linear.bias", dense.bias)}) {
      if (from.empty()) continue;
      const ExportTensor& tensor = source_.tensors().at(from);
      tensors.emplace_back(name, &tensor);
      infos.push_back(tensor.info);
      infos.back().name = name;
    }
    SafetensorsWriter writer(path, {{"format", "pt"}}, infos);
    for (const auto& [name, tensor] : tensors) {
      ++report.tensors;
      report.floats +=
          WriteFloats(name, *tensor, writer) ? size_t{1} : size_t{0};
    }
    writer.Commit();
  }

  // Tensors of dense layers have files of their own.
  bool IsOfHead(const std::string& name) const {
    const auto& head = source_.head();
    return head && std::any_of(head->dense.begin(), head->dense.end(),
                               [&](const EncoderHead::Dense& dense) {
                                 return name == dense.weight ||
                                        name == dense.bias;
                               });
  }

  // Libraries want a token to fill up texts; -1 if the configuration has none.
  int64_t Padding() const {
    const json config = Config();
    const auto id = config.find("pad_token_id");
    return id != config.end() && id->is_number_integer() ? id->get<int64_t>()
                                                         : -1;
  }

  static void WriteText(const std::filesystem::path& path,
                        const std::string& text) {
    OutputFile file(path);
    file.Append(text);
    file.Commit();
  }

  static std::string Stem(const std::string& name) {
    return name.ends_with(kWeightEnding)
               ? name.substr(0, name.size() - kWeightEnding.size())
               : name;
  }

  // nullptr if it has to become floats.
  std::unique_ptr<PackedLayout> Pack(const std::string& name,
                                     const ExportTensor& tensor) const {
    if (tensor.zeros) return nullptr;
    const std::string& first = tensor.pieces[0].name;
    if (model_.packed(first) == nullptr) return nullptr;
    std::unique_ptr<PackedLayout> packed;
    const bool whole = ExportRows(model_, {&tensor}, {}).packed();
    if (tensor.of_outputs) {
      if (options_.layout != ExportLayout::kFloat) {
        source_.Refuse(first,
                       "is a matrix of experts, which have a layout of their "
                       "own: --layout float");
      }
      packed = FindMxfp4Layout(model_, tensor);
    } else if (whole && !tensor.transposed && name.ends_with(kWeightEnding) &&
               tensor.info.shape.size() == 2 &&
               (options_.layout == ExportLayout::kMlx || IsOfLinear(first))) {
      packed = PackedLayout::Find(options_.layout, model_, tensor);
    }
    if (!packed) RefuseFloats(first);
    return packed;
  }

  void RefuseFloats(const std::string& name) const {
    if (!options_.require_packed) return;
    source_.Refuse(name, "is not held by the layout '" +
                             std::string(Name(options_.layout)) +
                             "': it would become float32");
  }

  // Of experts that no layout holds.
  const ExportTensor& Turned(const ExportTensor& tensor) {
    turned_.push_back(tensor.Transposed());
    return turned_.back();
  }

  // Readers of the other layouts expect no packed embeddings.
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
    if (tensor.zeros) {
      const std::vector<std::byte> zeros(tensor.info.ByteCount());
      writer.WritePart(name, 0, zeros);
      return false;
    }
    bool was_packed = false;
    if (tensor.transposed || tensor.undo || !tensor.column_order.empty()) {
      ExportRows rows(model_, {&tensor}, {});
      std::vector<uint8_t> bytes(row_bytes);
      std::vector<float> values;
      for (size_t row = 0; row < rows.rows(); ++row) {
        const auto found = rows.Values(row);
        values.assign(found.begin(), found.end());
        if (tensor.undo) {
          for (float& value : values) value = source_.Undo(tensor, value);
        }
        StoreFloats(values, dtype, bytes.data());
        writer.WritePart(name, row * row_bytes,
                         std::as_bytes(std::span(bytes)));
      }
      for (const ExportPiece& piece : tensor.pieces) {
        was_packed = was_packed || model_.packed(piece.name) != nullptr;
      }
      return was_packed;
    }
    for (const ExportPiece& piece : tensor.pieces) {
      const TensorView& view = model_.file().Get(piece.name);
      was_packed = was_packed || model_.packed(piece.name) != nullptr;
      if (view.dtype == dtype) {
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
        const auto row = source.Rows((piece.first + i) / width, 1, scratch);
        writer.WritePart(name, (piece.to + i * piece.step) * row_bytes,
                         std::as_bytes(row));
      }
    }
    return was_packed;
  }

  // The configuration, with what says how weights are packed.
  json Config() const {
    // A copy has no other values below it than those of a configuration.
    json config = source_.config();
    if (config.contains("text_config")) {
      // Of the text model, which is all that there is.
      const bool tied = source_.network().tied;
      config = json(config["text_config"]);
      config["architectures"] = {source_.network().architecture};
      config["tie_word_embeddings"] = tied;
    }
    if (source_.untied()) config["tie_word_embeddings"] = false;
    DescribeInConfig(options_.layout, Description(), config);
    const bool experts = std::any_of(
        targets_.begin(), targets_.end(),
        [](const auto& target) { return target.second.tensor->of_outputs; });
    if (experts) {
      config["quantization_config"] = {
          {"quant_method", "mxfp4"},
          {"modules_to_not_convert",
           {"model.layers.*.self_attn", "model.layers.*.mlp.router",
            "model.embed_tokens", "lm_head"}}};
    }
    return config;
  }

  PackedDescription Description() const {
    PackedDescription weights;
    for (const auto& [name, target] : targets_) {
      weights.names.push_back(name);
      if (target.packed) {
        weights.packed[name] = target.packed.get();
      } else if (target.tensor->columns > 1 && name.ends_with(kWeightEnding)) {
        weights.floats.push_back(name);
      }
    }
    return weights;
  }

  const Model& model_;
  const ExportOptions& options_;
  ExportTensors source_;
  std::deque<ExportTensor> turned_;
  std::map<std::string, Target> targets_;
};

constexpr std::pair<ExportLayout, std::string_view> kLayouts[] = {
    {ExportLayout::kFloat, "float"},
    {ExportLayout::kCompressedTensors, "compressed-tensors"},
    {ExportLayout::kTorchao, "torchao"},
    {ExportLayout::kMlx, "mlx"}};

}  // namespace

std::string_view Name(ExportLayout layout) {
  return std::find_if(std::begin(kLayouts), std::end(kLayouts),
                      [&](const auto& row) { return row.first == layout; })
      ->second;
}

ExportLayout ParseExportLayout(std::string_view name) {
  std::string known;
  for (const auto& [layout, layout_name] : kLayouts) {
    if (layout_name == name) return layout;
    known += known.empty() ? "" : ", ";
    known += layout_name;
  }
  throw Error("unknown layout '" + std::string(name) + "'; known: " + known);
}

ExportReport ExportModel(const Model& model,
                         const std::filesystem::path& folder,
                         const ExportOptions& options,
                         const ExportProgress& progress) {
  return Exporter(model, options).Write(folder, progress);
}

}  // namespace lutra::packer
