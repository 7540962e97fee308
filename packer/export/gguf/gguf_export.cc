// GGUF files of imported models.

#include <algorithm>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include "kernels/base/half.h"
#include "lutra/packer/export.h"
#include "lutra/runtime/error.h"
#include "packer/export/export_rows.h"
#include "packer/export/export_tensors.h"
#include "packer/export/gguf/block_writer.h"
#include "packer/export/gguf/gguf_metadata.h"
#include "packer/export/gguf/gguf_vocabulary.h"
#include "packer/export/gguf/gguf_writer.h"

namespace lutra::packer {
namespace {

// ggml's numbers of plain types.
struct FloatType {
  DType dtype;
  uint32_t number;
  const char* name;
};
constexpr FloatType kFloat32 = {DType::kFloat32, 0, "F32"};
constexpr FloatType kFloat16 = {DType::kFloat16, 1, "F16"};
constexpr FloatType kBFloat16 = {DType::kBFloat16, 30, "BF16"};

constexpr const char* kScale = ".scale";

// Rows of the experts of a tensor of a folder: first, first + step, ... of
// each, a half.
struct Half {
  size_t first = 0;
  size_t step = 1;
};

// A tensor of the file: one of a folder, or one for each expert, or a half of
// one.
struct Target {
  std::map<size_t, const ExportTensor*> parts;
  bool experts = false;
  std::optional<Half> half = {};
  // What makes the file's numbers of ours, if anything.
  std::function<float(float)> change = {};
};

// How it is written.
struct Form {
  std::optional<BlockWriter> blocks;
  FloatType floats = kFloat32;

  uint32_t number() const { return blocks ? blocks->type().id : floats.number; }
  const char* name() const {
    return blocks ? blocks->type().name : floats.name;
  }
  bool HasFactor() const { return blocks && blocks->factor() != 1; }
  size_t RowBytes(size_t columns) const {
    return blocks ? blocks->RowBytes(columns)
                  : columns * ByteSize(floats.dtype);
  }
};

class Exporter {
 public:
  Exporter(const Model& model, const GgufOptions& options)
      : source_(model, /*outputs=*/true),
        options_(options),
        architecture_(FindGgufArchitectureOf(source_.network().architecture)) {
    if (architecture_ == nullptr) {
      throw Error::InFile(model.path(),
                          "is a " + source_.network().architecture +
                              ", which cannot be exported as GGUF",
                          ErrorCode::kUnsupported);
    }
    const auto& head = source_.head();
    if (head && (architecture_->type != "bert" || !head->dense.empty() ||
                 head->pool == EncoderHead::Pool::kLast)) {
      throw Error::InFile(model.path(),
                          "makes vectors of texts, which GGUF files of '" +
                              std::string(architecture_->name) + "' do not say",
                          ErrorCode::kUnsupported);
    }
    if (architecture_->type == "qwen3_5_text") {
      value_heads_ = ValueHeadsOf(source_);
    }
    FindTargets();
  }

  GgufReport Write(const std::filesystem::path& path,
                   const ExportProgress& progress) {
    std::error_code error;
    if (std::filesystem::equivalent(path, source_.model().path(), error)) {
      throw Error::InFile(path.string(),
                          "is the model itself: name another file");
    }
    GgufReport report;
    report.notes = source_.Notes();
    GgufWriter writer(path);
    WriteGgufNetwork(source_, *architecture_, writer);
    writer.Integer("general.quantization_version", 2);
    if (architecture_->name == "bitnet" &&
        source_.config().value("hidden_act", "relu2") != "silu") {
      report.notes.emplace_back(
          "programs that do not know bitnet.hidden_activation, as llama.cpp, "
          "compute silu");
    }
    if (source_.head() && source_.head()->unit_length) {
      report.notes.emplace_back(
          "that vectors are of length 1 is left to the program that reads it");
    }
    if (options_.tokenizer) {
      WriteGgufTokenizer(source_.model(), architecture_->name == "gemma4",
                         writer, report.notes);
    } else {
      writer.Text("tokenizer.ggml.model", "none");
    }
    const auto frequencies = FrequencyTensors(source_, *architecture_);
    for (const auto& [name, values] : frequencies) {
      writer.Tensor(name, kFloat32.number, std::vector<uint64_t>{values.size()},
                    values.size() * sizeof(float));
    }
    std::vector<Form> forms;
    for (const auto& [name, target] : targets_) {
      if (progress) progress(name, forms.size(), 2 * targets_.size());
      forms.push_back(Describe(name, target, writer, report));
    }
    writer.Begin();
    size_t tensor = 0;
    for (const auto& [name, values] : frequencies) {
      writer.WritePart(tensor++, 0, std::as_bytes(std::span(values)));
    }
    CheckGgufNetwork(source_, writer.temporary());
    size_t form = 0;
    for (const auto& [name, target] : targets_) {
      if (progress) progress(name, targets_.size() + form, 2 * targets_.size());
      WriteTensor(target, name, forms[form], tensor++, writer);
      if (forms[form].HasFactor()) {
        const float factor = forms[form].blocks->factor();
        writer.WritePart(tensor++, 0,
                         std::as_bytes(std::span(&factor, size_t{1})));
      }
      ++form;
    }
    report.tensors = tensor;
    report.file_bytes = std::filesystem::file_size(writer.temporary());
    writer.Commit();
    return report;
  }

 private:
  void FindTargets() {
    for (const auto& [name, tensor] : source_.tensors()) {
      const std::string spelled = Spelled(name);
      const size_t both = architecture_->gate_up.empty()
                              ? std::string::npos
                              : spelled.find(architecture_->gate_up);
      if (both == std::string::npos) {
        AddTarget(name, spelled, tensor, std::nullopt);
        continue;
      }
      const size_t each =
          tensor.rows / static_cast<size_t>(tensor.info.shape.front()) / 2;
      const bool turns = architecture_->in_turns;
      for (const bool up : {false, true}) {
        std::string half = spelled;
        half.replace(both, architecture_->gate_up.size(),
                     NameOf(up ? "ffn_up_exps" : "ffn_gate_exps"));
        const size_t first = turns ? 1 : each;
        AddTarget(name, half, tensor,
                  Half{up ? first : 0, turns ? size_t{2} : size_t{1}});
      }
    }
  }

  void AddTarget(const std::string& name, const std::string& spelled,
                 const ExportTensor& tensor, std::optional<Half> half) {
    auto found = FindGgufName(*architecture_, half ? spelled : name);
    if (!found) found = FindGgufName(*architecture_, spelled);
    if (!found) source_.Refuse(name, "has no name in GGUF files");
    Target& target = targets_[found->name];
    if (name.ends_with(".linear_attn.A_log")) {
      target.change = [](float rate) { return -rate; };
    } else if (tensor.transform && !architecture_->norms_plus_one) {
      target.change = [this, &tensor](float value) {
        return source_.Undo(tensor, value);
      };
    }
    target.experts = found->expert.has_value();
    target.parts[found->expert.value_or(0)] = &tensor;
    target.half = half;
  }

  // With an ending where Hugging Face's name has none.
  std::string Spelled(const std::string& name) const {
    if (name.ends_with(".weight") || name.ends_with(".bias")) return name;
    constexpr std::string_view kBias = "_bias";
    if (!name.ends_with(kBias)) return name + ".weight";
    return name.substr(0, name.size() - kBias.size()) + ".bias";
  }

  // The part of Hugging Face's names of a matrix in a block.
  std::string_view NameOf(std::string_view part) const {
    for (const GgufRenamed& entry : architecture_->blocks) {
      if (entry.from == part) return entry.to;
    }
    return part;
  }

  ExportRows Rows(const std::string& name, const Target& target) const {
    std::vector<const ExportTensor*> parts;
    for (const auto& [expert, tensor] : target.parts) parts.push_back(tensor);
    std::vector<uint32_t> order;
    if (target.half) order = RowsOf(*parts[0], *target.half);
    const bool query = name.find(".attn_q.") != std::string::npos;
    const bool key = name.find(".attn_k.") != std::string::npos;
    if (architecture_->permuted && (query || key)) {
      const Graph& graph = source_.network().graph;
      const auto attention = std::find_if(
          graph.nodes.begin(), graph.nodes.end(),
          [](const Node& node) { return node.op == OpType::kAttention; });
      order =
          PairedRows(parts[0]->rows,
                     CountAttribute(*attention, query ? "heads" : "kv_heads"),
                     /*inverse=*/false);
    }
    std::vector<uint32_t> columns;
    const std::string& own = parts[0]->info.name;
    const auto axis = ValueHeads::AxisOf(own);
    if (value_heads_.Differ() && axis) {
      const bool rows = *axis == ValueHeads::Axis::kRows;
      (rows ? order : columns) = value_heads_.Order(
          own, rows ? parts[0]->rows : parts[0]->columns, /*inverse=*/false);
    }
    return ExportRows(source_.model(), std::move(parts), std::move(order),
                      std::move(columns));
  }

  static std::vector<uint32_t> RowsOf(const ExportTensor& tensor,
                                      const Half& half) {
    const auto experts = static_cast<size_t>(tensor.info.shape.front());
    const size_t each = tensor.rows / experts;
    std::vector<uint32_t> order;
    for (size_t e = 0; e < experts; ++e) {
      for (size_t i = 0; i < each / 2; ++i) {
        order.push_back(
            static_cast<uint32_t>(e * each + half.first + i * half.step));
      }
    }
    return order;
  }

  // Without ".weight".
  static std::string Stem(const std::string& name) {
    return name.substr(0, name.rfind('.'));
  }

  // What ggml wants to be float32, whatever its size.
  static bool IsFloat32(const std::string& name) {
    return name.find("shortconv.conv.") != std::string::npos ||
           name.find("ssm_conv1d.") != std::string::npos ||
           name.find("ffn_gate_inp.") != std::string::npos;
  }

  Form Describe(const std::string& name, const Target& target,
                GgufWriter& writer, GgufReport& report) const {
    const ExportTensor& first = *target.parts.begin()->second;
    if (first.zeros) {
      ++report.types[kFloat32.name];
      writer.Tensor(name, kFloat32.number,
                    std::vector<uint64_t>{first.rows, first.columns},
                    first.info.ByteCount());
      return {};
    }
    const bool vector = first.columns == 1;
    ExportRows rows = Rows(name, target);
    Form form;
    if (!vector && !IsFloat32(name)) {
      if (options_.packed) form.blocks = BlockWriter::Smallest(rows);
      // Gemma 4 has scales of experts there.
      if (form.HasFactor() && targets_.contains(Stem(name) + kScale)) {
        form.blocks.reset();
      }
      if (!form.blocks) form.floats = SmallestFloat(rows, first.info.dtype);
      if (rows.quantized() && !form.blocks && options_.require_packed) {
        source_.Refuse(first.pieces[0].name,
                       "fits no type of GGUF exactly: it would become " +
                           std::string(form.name()));
      }
    }
    if (rows.quantized()) ++(form.blocks ? report.packed : report.floats);
    ++report.types[form.name()];
    std::vector<uint64_t> shape;
    const std::vector<int64_t>& own = first.info.shape;
    // Without dimensions of 1 between the others.
    const uint64_t experts =
        target.experts ? target.parts.size()
        : (own.size() == 3 && own[1] > 1) || (own.size() == 2 && vector)
            ? static_cast<uint64_t>(own[0])
            : 1;
    if (experts > 1 || target.experts) shape.push_back(experts);
    shape.push_back(rows.rows() / experts);
    if (!vector) shape.push_back(rows.columns());
    writer.Tensor(name, form.number(), shape,
                  rows.rows() * form.RowBytes(rows.columns()));
    if (form.HasFactor()) {
      writer.Tensor(Stem(name) + kScale, kFloat32.number,
                    std::vector<uint64_t>{1}, sizeof(float));
    }
    return form;
  }

  // That holds every value.
  static FloatType SmallestFloat(ExportRows& rows, DType stored) {
    if (stored == DType::kFloat16) return kFloat16;
    if (stored == DType::kBFloat16) return kBFloat16;
    bool half = true;
    bool brain = true;
    for (size_t row = 0; row < rows.rows() && (half || brain); ++row) {
      for (const float value : rows.Values(row)) {
        half = half && RoundToFloat16(value) == value;
        brain = brain && RoundToBFloat16(value) == value;
      }
    }
    return half ? kFloat16 : brain ? kBFloat16 : kFloat32;
  }

  void WriteTensor(const Target& target, const std::string& name,
                   const Form& form, size_t index, GgufWriter& writer) const {
    // The file is as long as it will be, and empty.
    if (target.parts.begin()->second->zeros) return;
    ExportRows rows = Rows(name, target);
    const size_t row_bytes = form.RowBytes(rows.columns());
    // Some at a time; elements of a vector are rows.
    constexpr size_t kPiece = size_t{1} << 18;
    const size_t at_once = std::max<size_t>(1, kPiece / row_bytes);
    std::vector<uint8_t> bytes;
    std::vector<float> values;
    for (size_t first = 0; first < rows.rows(); first += at_once) {
      const size_t count = std::min(at_once, rows.rows() - first);
      bytes.resize(count * row_bytes);
      for (size_t i = 0; i < count; ++i) {
        uint8_t* to = bytes.data() + i * row_bytes;
        if (!form.blocks) {
          const auto found = rows.Values(first + i);
          values.assign(found.begin(), found.end());
          if (target.change) {
            for (float& value : values) value = target.change(value);
          }
          StoreFloats(values, form.floats.dtype, to);
        } else if (!form.blocks->Write(rows.Coded(first + i), to)) {
          source_.Refuse(name, "changed while it was read");
        }
      }
      writer.WritePart(index, first * row_bytes,
                       std::as_bytes(std::span(bytes)));
    }
  }

  ExportTensors source_;
  const GgufOptions& options_;
  const GgufArchitecture* architecture_;
  ValueHeads value_heads_;
  std::map<std::string, Target> targets_;
};

}  // namespace

GgufReport ExportGguf(const Model& model, const std::filesystem::path& path,
                      const GgufOptions& options,
                      const ExportProgress& progress) {
  return Exporter(model, options).Write(path, progress);
}

}  // namespace lutra::packer
