// charRNN of ml5.js (https://github.com/ml5js/ml5-data-and-models): a language
// model of characters with layers of TensorFlow's BasicLSTMCell. One raw
// float32 file per tensor, named by manifest.json; vocab.json maps characters
// to ids.

#include <cstring>
#include <utility>

#include "lutra/runtime/error.h"
#include "packer/import/import_plan.h"
#include "runtime/base/json_object.h"
#include "runtime/base/mapped_file.h"
#include "runtime/base/utf8.h"

namespace lutra::packer {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr size_t kMaxLayers = 64;
constexpr int64_t kMaxSize = 1 << 20;
// Order of a cell's gates: input, candidate, forget, output.
constexpr std::string_view kGates = "igfo";
constexpr int64_t kForgetGate = 2;
// BasicLSTMCell adds it to the forget gate's argument.
constexpr float kForgetBias = 1.0f;

JsonDocument ReadJson(const fs::path& path, const std::string& what) {
  const MappedFile file(path);
  return ParseJson(file.text(), path.string(), what);
}

// A tensor's file, mapped.
struct RawTensor {
  std::vector<int64_t> shape;
  std::shared_ptr<const MappedFile> file;

  // Rows [begin, end) of the matrix, transposed.
  std::vector<float> TransposedRows(int64_t begin, int64_t end) const {
    const auto columns = static_cast<size_t>(shape[1]);
    const auto rows = static_cast<size_t>(end - begin);
    const std::vector<float> source =
        Values(static_cast<size_t>(begin) * columns, rows * columns);
    std::vector<float> result(source.size());
    for (size_t r = 0; r < rows; ++r) {
      for (size_t c = 0; c < columns; ++c) {
        result[c * rows + r] = source[r * columns + c];
      }
    }
    return result;
  }

  std::vector<float> Values(size_t begin, size_t count) const {
    std::vector<float> values(count);
    std::memcpy(values.data(), file->bytes().data() + begin * sizeof(float),
                count * sizeof(float));
    return values;
  }
};

class Importer {
 public:
  explicit Importer(const ImportOptions& options)
      : folder_(options.source),
        manifest_name_((folder_ / kManifestFile).string()),
        manifest_document_(ReadJson(folder_ / kManifestFile, "manifest")),
        manifest_(manifest_document_.root(), manifest_name_, "manifest") {}

  ImportPlan Plan() {
    const RawTensor embedding = Read("embedding", 2);
    const int64_t vocab = embedding.shape[0];
    int64_t size = embedding.shape[1];
    plan_.architecture = "character LSTM (ml5.js)";
    plan_.graph.inputs = {{"ids", ValueType::kInt32, {}}};
    plan_.graph.outputs = {"logits"};
    AddNode(plan_, OpType::kEmbedding, "embedded").weight = "embedding";
    Store("embedding", {vocab, size}, [embedding] {
      return embedding.Values(0,
                              embedding.file->bytes().size() / sizeof(float));
    });
    for (size_t layer = 0; layer < kMaxLayers; ++layer) {
      const std::string cell = "rnnlm/multi_rnn_cell/cell_" +
                               std::to_string(layer) + "/basic_lstm_cell/";
      if (!manifest_.Has(cell + "kernel")) break;
      size = Cell("cell" + std::to_string(layer), Read(cell + "kernel", 2),
                  Read(cell + "bias", 1), size);
      ++plan_.layers;
    }
    if (plan_.layers == 0) manifest_.Fail("has no LSTM cell");
    const RawTensor weight = Read("rnnlm/softmax_w", 2);
    const RawTensor bias = Read("rnnlm/softmax_b", 1);
    Expect("rnnlm/softmax_w", weight, {size, vocab});
    Expect("rnnlm/softmax_b", bias, {vocab});
    Node& logits = AddNode(plan_, OpType::kLinear, "logits");
    logits.weight = "output.weight";
    logits.bias = "output.bias";
    Store(logits.weight, {vocab, size},
          [weight, size] { return weight.TransposedRows(0, size); });
    Store(logits.bias, {vocab},
          [bias, vocab] { return bias.Values(0, static_cast<size_t>(vocab)); });
    plan_.tokenizer = ReadVocabulary(vocab);
    return std::move(plan_);
  }

 private:
  RawTensor Read(const std::string& name, size_t rank) const {
    const JsonObject entry = manifest_.Object(name);
    const std::string file = entry.String("filename");
    // Names with folders could lead anywhere.
    if (fs::path(file).filename() != file || file == "." || file == "..") {
      entry.Fail(std::string("'") + file + "' is not the name of a file");
    }
    RawTensor tensor;
    tensor.shape = entry.Integers("shape", 1, kMaxSize, 8);
    if (tensor.shape.size() != rank) {
      entry.Fail("has the shape " + ShapeToString(tensor.shape));
    }
    tensor.file = std::make_shared<const MappedFile>(folder_ / file);
    int64_t bytes = sizeof(float);
    for (const int64_t dimension : tensor.shape) bytes *= dimension;
    if (tensor.file->bytes().size() != static_cast<size_t>(bytes)) {
      throw Error::InFile((folder_ / file).string(),
                          "has " + std::to_string(tensor.file->bytes().size()) +
                              " bytes, its shape " +
                              ShapeToString(tensor.shape) + " needs " +
                              std::to_string(bytes));
    }
    return tensor;
  }

  void Expect(const std::string& name, const RawTensor& tensor,
              const std::vector<int64_t>& shape) const {
    if (tensor.shape != shape) {
      manifest_.Fail(std::string("'") + name + "' has the shape " +
                     ShapeToString(tensor.shape) + ", expected " +
                     ShapeToString(shape));
    }
  }

  // The kernel [inputs + hidden, 4 * hidden] is split into the part for the
  // layer's input and the recurrent one.
  int64_t Cell(const std::string& name, const RawTensor& kernel,
               const RawTensor& bias, int64_t inputs) {
    const int64_t hidden = kernel.shape[1] / 4;
    Expect(name + " kernel", kernel, {inputs + hidden, 4 * hidden});
    Expect(name + " bias", bias, {4 * hidden});
    Node& gates = AddNode(plan_, OpType::kLinear, name + ".gates");
    gates.weight = name + ".input.weight";
    gates.bias = name + ".bias";
    Node& cell = AddNode(plan_, OpType::kLstmCell, name);
    cell.weight = name + ".recurrent.weight";
    cell.attributes["gates"] = std::string(kGates);
    Store(name + ".input.weight", {4 * hidden, inputs},
          [kernel, inputs] { return kernel.TransposedRows(0, inputs); });
    Store(name + ".recurrent.weight", {4 * hidden, hidden},
          [kernel, inputs, hidden] {
            return kernel.TransposedRows(inputs, inputs + hidden);
          });
    Store(name + ".bias", {4 * hidden}, [bias, hidden] {
      auto values = bias.Values(0, static_cast<size_t>(4 * hidden));
      const auto begin = static_cast<size_t>(kForgetGate * hidden);
      for (size_t i = 0; i < static_cast<size_t>(hidden); ++i) {
        values[begin + i] += kForgetBias;
      }
      return values;
    });
    return hidden;
  }

  TokenizerData ReadVocabulary(int64_t vocab) const {
    const std::string name = (folder_ / "vocab.json").string();
    const JsonDocument document =
        ReadJson(folder_ / "vocab.json", "vocabulary");
    const json& root = document.root();
    const JsonObject object(root, name, "vocabulary");
    std::vector<std::string> pieces(static_cast<size_t>(vocab));
    for (const auto& [character, value] : root.items()) {
      const auto id =
          static_cast<size_t>(object.Integer(character, 0, vocab - 1));
      if (character.empty() || ReadUtf8(character).bytes != character.size()) {
        object.Fail(std::string("'") + character + "' is not one character");
      }
      if (!pieces[id].empty()) {
        object.Fail("two characters have the id " + std::to_string(id));
      }
      pieces[id] = character;
    }
    TokenizerData data;
    std::vector<uint32_t> lookup;
    for (const std::string& piece : pieces) {
      if (!piece.empty()) lookup.push_back(static_cast<uint32_t>(data.size()));
      data.AddPiece(piece,
                    piece.empty() ? PieceType::kUnused : PieceType::kNormal);
    }
    MakeLookup(std::move(lookup), data);
    data.recipe.kind = "characters";
    return data;
  }

  void Store(const std::string& name, std::vector<int64_t> shape,
             std::function<std::vector<float>()> make) {
    plan_.tensors.push_back(
        MakeTensor(name, std::move(shape), std::move(make)));
  }

  fs::path folder_;
  std::string manifest_name_;
  JsonDocument manifest_document_;
  JsonObject manifest_;
  ImportPlan plan_;
};

}  // namespace

ImportPlan PlanCharacterLstm(const ImportOptions& options) {
  return Importer(options).Plan();
}

}  // namespace lutra::packer
