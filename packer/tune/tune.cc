#include "lutra/packer/tune.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "lutra/packer/pack.h"
#include "lutra/packer/weights.h"
#include "lutra/runtime/error.h"
#include "packer/encode/two_level_scales.h"
#include "packer/encode/weight_packer.h"
#include "packer/weights/compare.h"
#include "packer/weights/row_source.h"
#include "packer/weights/unpacked.h"
#include "packer/write/pack_note.h"

namespace lutra::packer {
namespace {

qat::ScaledWeight Scaled(const std::string& name, const UnpackedMatrix& blob) {
  qat::ScaledWeight weight;
  weight.name = name;
  weight.k = blob.format.k;
  weight.group_size = blob.format.group_size;
  weight.scales = blob.scales;
  if (blob.format.offset_type != kernels::OffsetType::kNone) {
    weight.offsets = blob.offsets;
  }
  weight.levels.reserve(blob.indices.size());
  for (size_t i = 0; i < blob.indices.size(); ++i) {
    weight.levels.push_back(blob.Level(i / blob.format.k, blob.indices[i]));
  }
  return weight;
}

qat::Tensor ReadFloats(const Model& model, const std::string& name) {
  const RowSource source = RowSource::Of(model, name);
  const auto rows = static_cast<int64_t>(source.rows());
  const auto columns = static_cast<int64_t>(source.columns());
  qat::Tensor tensor(model.packed(name) == nullptr
                         ? model.file().Get(name).shape
                         : std::vector<int64_t>{rows, columns});
  std::vector<float> scratch;
  const auto values = source.Rows(0, source.rows(), scratch);
  tensor.values.assign(values.begin(), values.end());
  return tensor;
}

// The tensors that nodes use, as floats.
qat::TrainableModel Floats(const Model& model) {
  qat::TrainableModel floats;
  floats.graph = model.graph();
  for (const Node& node : model.graph().nodes) {
    for (const std::string& name : {node.weight, node.bias}) {
      if (name.empty() || floats.parameters.contains(name)) continue;
      floats.parameters[name] = ReadFloats(model, name);
    }
  }
  return floats;
}

// Numbers of two levels are rounded when they are packed.
float RoundTo(kernels::ScaleType type, float scale) {
  switch (type) {
    case kernels::ScaleType::kBFloat16:
      return qat::RoundScale(qat::ScaleType::kBFloat16, scale);
    case kernels::ScaleType::kFloat16:
      return qat::RoundScale(qat::ScaleType::kFloat16, scale);
    default:
      return scale;
  }
}

// For scales that may have grown beyond what numbers times the old ones give.
void ChooseSuperScales(UnpackedMatrix& blob) {
  const size_t k = blob.format.k;
  const size_t groups = blob.format.GroupsPerRow();
  const size_t supers = blob.format.SupersPerRow();
  for (size_t row = 0; row < blob.format.n; ++row) {
    RoundToTwoLevels(
        blob.format,
        SquaredLevels(blob.format,
                      [&](size_t c) {
                        return blob.Level(row, blob.indices[row * k + c]);
                      }),
        std::span(blob.scales).subspan(row * groups, groups),
        std::span(blob.super_scales).subspan(row * supers, supers));
  }
}

class Tuner {
 public:
  Tuner(const Model& packed, const Model& reference)
      : packed_(packed),
        reference_(reference),
        student_(Floats(packed)),
        teacher_(Floats(reference)) {
    for (const Weight& weight : Weights(packed)) {
      if (weight.packed == nullptr) continue;
      scaled_.push_back(Scaled(weight.name, UnpackedMatrix(*weight.packed)));
    }
    if (scaled_.empty()) {
      throw Error::InFile(packed.path(), "has no packed weights to tune");
    }
    if (reference.outputs().at(0).ElementCount() == 1) {
      throw Error::InFile(reference.path(),
                          "has one output, of which there are no probabilities "
                          "of classes to tune by");
    }
    for (const Weight& weight : Weights(reference)) {
      if (weight.packed != nullptr) {
        throw Error::InTensor(reference.path(), weight.name,
                              "is packed; the reference must be float");
      }
    }
    for (const Node& node : packed.graph().nodes) {
      if (node.op == OpType::kRmsNorm || node.op == OpType::kLayerNorm) {
        gains_.insert(node.weight);
      }
    }
  }

  TuneReport Learn(const qat::Samples& samples,
                   const qat::ScaleTunerOptions& options,
                   const TuneProgress& progress) {
    TuneReport report;
    qat::ScaleTuner tuner(student_, scaled_, teacher_, samples, options);
    report.memory = tuner.MemoryBytes();
    for (const qat::TrainableModel* model :
         {&std::as_const(student_), &teacher_}) {
      for (const auto& [name, tensor] : model->parameters) {
        report.memory += tensor.values.size() * sizeof(float);
      }
    }
    for (const qat::ScaledWeight& weight : scaled_) {
      report.scales += weight.scales.size();
      report.memory += weight.levels.size();
    }
    for (const std::string& gain : gains_) {
      report.gains += student_.parameters.find(gain)->second.values.size();
    }
    const int64_t tenth = std::max<int64_t>(1, options.steps / 10);
    tuner.Run([&](int64_t step, double loss) {
      const auto share = loss / static_cast<double>(tenth);
      if (step <= tenth) report.first_loss += share;
      if (step > options.steps - tenth) report.last_loss += share;
      if (progress) progress(step, loss);
    });
    return report;
  }

  size_t Write(const std::filesystem::path& path, Executor* executor) {
    const SafetensorsFile& file = packed_.file();
    std::vector<TensorReport> errors;
    std::map<std::string, std::vector<BlobLine>> blobs;
    for (qat::ScaledWeight& weight : scaled_) {
      blobs[weight.name] = Pack(weight);
      errors.push_back(Measure(weight.name, blobs[weight.name], executor));
    }
    std::map<std::string, std::string> metadata = file.metadata();
    metadata[std::string(kPackKey)] = PackNote(errors);
    std::vector<TensorInfo> tensors;
    for (const TensorView& tensor : file.tensors()) {
      TensorInfo info = tensor;
      if (gains_.contains(tensor.name)) info.dtype = DType::kFloat32;
      tensors.push_back(info);
    }
    SafetensorsWriter writer(path, metadata, tensors);
    for (const TensorView& tensor : file.tensors()) {
      const auto blob = blobs.find(tensor.name);
      if (blob != blobs.end()) {
        writer.Write(tensor.name, std::as_bytes(std::span(blob->second)));
      } else if (gains_.contains(tensor.name)) {
        writer.Write(
            tensor.name,
            std::as_bytes(std::span(
                student_.parameters.find(tensor.name)->second.values)));
      } else {
        writer.Write(tensor.name, tensor.data);
      }
    }
    writer.Commit();
    return static_cast<size_t>(std::filesystem::file_size(path));
  }

 private:
  std::vector<BlobLine> Pack(qat::ScaledWeight& weight) const {
    const kernels::LutMatrix& matrix = *packed_.packed(weight.name);
    UnpackedMatrix blob(matrix);
    for (float& scale : weight.scales) {
      scale = RoundTo(matrix.format.scale_type, scale);
      if (!std::isfinite(scale)) {
        throw Error::InTensor(packed_.path(), weight.name,
                              "has a scale that leaves the range of its type");
      }
    }
    std::vector<BlobLine> bytes(kernels::BlobBytes(matrix.format) /
                                sizeof(BlobLine));
    blob.scales = weight.scales;
    if (matrix.format.super_span != kernels::SuperSpan::kNone &&
        matrix.format.scale_type == kernels::ScaleType::kInt8) {
      ChooseSuperScales(blob);
    }
    kernels::PackLutMatrix(matrix.format, blob.Values(), bytes.data()->bytes);
    return bytes;
  }

  TensorReport Measure(const std::string& name,
                       const std::vector<BlobLine>& blob,
                       Executor* executor) const {
    TensorReport report;
    report.name = name;
    report.method = PackMethod::kPostTraining;
    kernels::LutMatrix matrix;
    const char* cause = kernels::ParseLutMatrix(
        blob.data()->bytes, blob.size() * sizeof(BlobLine), &matrix);
    if (cause != nullptr) throw Error::InTensor(packed_.path(), name, cause);
    const TensorView* source = reference_.file().Find(name);
    if (source == nullptr) return report;
    const RowSource expected(*source, reference_.path());
    const RowSource found(matrix);
    if (expected.rows() != found.rows() ||
        expected.columns() != found.columns()) {
      return report;
    }
    const Differences differences = Compare(expected, found, executor);
    report.sqnr_db = differences.SqnrDb();
    report.max_error = differences.max_error;
    return report;
  }

  const Model& packed_;
  const Model& reference_;
  qat::TrainableModel student_;
  const qat::TrainableModel teacher_;
  std::vector<qat::ScaledWeight> scaled_;
  std::set<std::string> gains_;
};

}  // namespace

TuneReport TuneModel(const Model& packed, const Model& reference,
                     const qat::Samples& samples,
                     const qat::ScaleTunerOptions& options,
                     const std::filesystem::path& path,
                     const TuneProgress& progress) {
  const size_t width = packed.outputs().at(0).ElementCount();
  if (reference.outputs().at(0).ElementCount() != width) {
    throw Error::InFile(
        reference.path(),
        "has outputs of " +
            std::to_string(reference.outputs()[0].ElementCount()) +
            " values, but " + packed.path() + " of " + std::to_string(width));
  }
  Tuner tuner(packed, reference);
  TuneReport report = tuner.Learn(samples, options, progress);
  report.file_bytes = tuner.Write(path, options.executor);
  return report;
}

}  // namespace lutra::packer
