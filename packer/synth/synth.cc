#include "lutra/packer/synth.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <optional>
#include <string>
#include <system_error>

#include "kernels/base/half.h"
#include "lutra/runtime/error.h"
#include "lutra/runtime/model.h"
#include "lutra/runtime/random.h"
#include "packer/architectures/llama_graph.h"
#include "packer/assign/plan.h"
#include "packer/encode/two_level_scales.h"
#include "packer/encode/weight_packer.h"
#include "packer/weights/row_tasks.h"
#include "packer/write/meter.h"

namespace lutra::packer {
namespace {

constexpr int64_t kMaxLayers = 1024;
constexpr int64_t kMaxHeads = 1 << 16;

constexpr size_t kInt8Values = 256;

LlamaConfig ConfigOf(const SynthOptions& options) {
  const auto require = [](bool condition, const char* cause) {
    if (!condition) throw Error(std::string("no such model: ") + cause);
  };
  for (const int64_t size :
       {options.vocab, options.dim, options.hidden, options.context}) {
    require(size > 0 && size <= kernels::kMaxDimension,
            "vocabulary, widths and context must be from 1 to 2^30");
  }
  require(options.layers > 0 && options.layers <= kMaxLayers,
          "the layers must be from 1 to 1024");
  require(options.heads > 0 && options.heads <= kMaxHeads &&
              options.kv_heads > 0 && options.heads % options.kv_heads == 0,
          "the heads must be a multiple of the key/value heads");
  require(options.head_dim > 0 && options.head_dim <= kMaxHeads &&
              options.head_dim % 2 == 0,
          "the width of a head must be even");
  LlamaConfig config;
  config.vocab = options.vocab;
  config.dim = options.dim;
  config.hidden = options.hidden;
  config.layers = options.layers;
  config.heads = options.heads;
  config.kv_heads = options.kv_heads;
  config.head_dim = options.head_dim;
  config.rotary_dim = options.head_dim;
  config.norm_eps = options.norm_eps;
  config.rope_theta = options.rope_theta;
  config.query_key_value_bias = options.query_key_value_bias;
  config.window = options.window;
  if (options.tied) config.output = config.embedding;
  return config;
}

// A tensor of the model: a float one, or a weight with a plan.
struct Tensor {
  LlamaTensor tensor;
  std::optional<WeightPlan> plan;
  uint64_t stream = 0;  // of random numbers

  TensorInfo Info(DType dtype) const;
};

TensorInfo Tensor::Info(DType dtype) const {
  TensorInfo info{tensor.name, DType::kFloat32, tensor.shape};
  if (plan) {
    info.dtype = DType::kUInt8;
    info.shape = {static_cast<int64_t>(kernels::BlobBytes(plan->format))};
  } else if (tensor.role == LlamaTensor::Role::kMatrix) {
    info.dtype = dtype;
  }
  return info;
}

std::vector<Tensor> PlanTensors(const LlamaConfig& config,
                                const qat::SchemeRules& rules) {
  std::vector<Tensor> tensors;
  for (LlamaTensor& tensor : LlamaTensors(config)) {
    Tensor result;
    result.stream = tensors.size();
    result.tensor = std::move(tensor);
    const std::string& name = result.tensor.name;
    if (result.tensor.role == LlamaTensor::Role::kMatrix) {
      const bool embeds = name == config.embedding;
      const auto scheme =
          rules.Match({name, embeds ? OpType::kEmbedding : OpType::kLinear});
      if (scheme) {
        WeightPlan& plan = result.plan.emplace();
        plan.weight.name = name;
        plan.weight.n = result.tensor.shape[0];
        plan.weight.k = result.tensor.shape[1];
        plan.scheme = *scheme;
        plan.method = PackMethod::kPostTraining;
        try {
          PlanBlob(plan);
        } catch (const Error& error) {
          throw Error("tensor '" + name + "' cannot be " +
                      qat::ToString(*scheme) + ": " + error.what());
        }
      }
    }
    tensors.push_back(std::move(result));
  }
  return tensors;
}

// Fills a table with evenly spaced numbers around 0, each a little off, so that
// tables of rows differ.
void FillTable(std::span<int8_t> table, Random& random) {
  const double step = 240.0 / static_cast<double>(table.size());
  for (size_t i = 0; i < table.size(); ++i) {
    const double middle = (static_cast<double>(i) + 0.5) * step - 120.0;
    table[i] = static_cast<int8_t>(
        std::lround(middle + 0.4 * step * double{random.Symmetric()}));
  }
}

double RootMeanSquare(std::span<const int8_t> table) {
  double sum = 0;
  for (const int entry : table) sum += entry * entry;
  return std::sqrt(sum / static_cast<double>(table.size()));
}

class Synthesizer {
 public:
  Synthesizer(const SynthOptions& options, const LlamaConfig& config)
      : options_(options), config_(config) {}

  void Write(const Tensor& tensor, SafetensorsWriter& writer, Meter& meter) {
    const std::string& name = tensor.tensor.name;
    if (tensor.plan) {
      const std::vector<BlobLine> blob = Blob(tensor, meter);
      writer.Write(name, std::as_bytes(std::span(blob)));
    } else if (tensor.tensor.role == LlamaTensor::Role::kMatrix) {
      writer.Write(name, Floats(tensor, meter));
    } else {
      const std::vector<float> values = Vector(tensor);
      writer.Write(name, std::as_bytes(std::span(values)));
      if (tensor.tensor.role != LlamaTensor::Role::kRope) {
        meter.Add(values.size());
      }
    }
  }

 private:
  // Every row has random numbers of its own, so that threads do not matter.
  Random RandomOf(const Tensor& tensor, size_t row) const {
    return Random(options_.seed, (tensor.stream << 32) | row);
  }

  double Deviation(const Tensor& tensor) const {
    const double deviation =
        1 / std::sqrt(static_cast<double>(tensor.tensor.shape[1]));
    const std::string& name = tensor.tensor.name;
    const bool residual =
        name.ends_with("o_proj.weight") || name.ends_with("down_proj.weight");
    return residual ? deviation /
                          std::sqrt(2.0 * static_cast<double>(config_.layers))
                    : deviation;
  }

  std::vector<BlobLine> Blob(const Tensor& tensor, Meter& meter) const {
    const kernels::LutFormat& format = tensor.plan->format;
    const size_t n = format.n;
    const size_t k = format.k;
    const size_t groups = format.GroupsPerRow();
    const size_t entries = format.TableEntries();
    const size_t levels = tensor.plan->scheme.bits == 0 ? 3
                          : format.HasTable()           ? entries
                                                        : kInt8Values;
    const bool per_row =
        format.table_granularity == kernels::TableGranularity::kRow;
    std::vector<int8_t> tables = tensor.plan->table;
    if (tables.empty()) tables.resize((per_row ? n : 1) * entries);
    if (tensor.plan->table.empty() && !per_row) {
      Random random = RandomOf(tensor, n);
      FillTable(tables, random);
    }
    std::vector<uint8_t> indices(n * k);
    std::vector<float> scales(n * groups);
    std::vector<float> offsets(
        format.offset_type == kernels::OffsetType::kNone ? 0 : n * groups);
    const size_t supers = format.SupersPerRow();
    std::vector<float> super_scales(n * supers);
    const std::vector<double> weights(groups, 1.0);
    const double deviation = Deviation(tensor);
    const RowTasks tasks(n, k);
    tasks.ForEach(options_.executor, [&](size_t task) {
      for (size_t row = tasks.Begin(task); row < tasks.End(task); ++row) {
        Random random = RandomOf(tensor, row);
        const std::span<int8_t> table =
            per_row ? std::span(tables).subspan(row * entries, entries)
                    : std::span(tables);
        if (per_row) FillTable(table, random);
        const double scale = deviation / RootMeanSquare(table.first(levels));
        for (size_t g = 0; g < groups; ++g) {
          scales[row * groups + g] =
              static_cast<float>(scale * (0.75 + 0.5 * random.Uniform()));
          if (offsets.empty()) continue;
          offsets[row * groups + g] =
              static_cast<float>(deviation * (0.2 * random.Uniform() - 0.1));
        }
        if (supers > 0) {
          RoundToTwoLevels(
              format, weights, std::span(scales).subspan(row * groups, groups),
              std::span(super_scales).subspan(row * supers, supers));
        }
        FillIndices(std::span(indices).subspan(row * k, k), format.bits, levels,
                    random);
      }
      meter.Add((tasks.End(task) - tasks.Begin(task)) * k);
    });
    std::vector<BlobLine> blob(kernels::BlobBytes(format) / sizeof(BlobLine));
    kernels::PackLutMatrix(format,
                           {.indices = indices.data(),
                            .scales = scales.data(),
                            .offsets = offsets.data(),
                            .super_scales = super_scales.data(),
                            .tables = tables.data()},
                           blob.data()->bytes);
    return blob;
  }

  // Several indices of one random number; `levels` is 3 or a power of two.
  static void FillIndices(std::span<uint8_t> indices, uint32_t bits,
                          size_t levels, Random& random) {
    if (levels == 3) bits = 8;  // which are scaled down to 0, 1, 2
    const uint64_t mask = levels == 3 ? 0xFF : levels - 1;
    const size_t count = 64 / bits;
    for (size_t i = 0; i < indices.size(); i += count) {
      uint64_t number = random.Next();
      const size_t end = std::min(i + count, indices.size());
      for (size_t j = i; j < end; ++j, number >>= bits) {
        const uint64_t part = number & mask;
        indices[j] = static_cast<uint8_t>(levels == 3 ? part * 3 >> 8 : part);
      }
    }
  }

  // Uniformly distributed values.
  std::vector<std::byte> Floats(const Tensor& tensor, Meter& meter) const {
    const auto n = static_cast<size_t>(tensor.tensor.shape[0]);
    const auto k = static_cast<size_t>(tensor.tensor.shape[1]);
    const size_t size = ByteSize(options_.dtype);
    const auto largest = static_cast<float>(std::sqrt(3.0) * Deviation(tensor));
    std::vector<std::byte> data(n * k * size);
    const RowTasks tasks(n, k);
    tasks.ForEach(options_.executor, [&](size_t task) {
      for (size_t row = tasks.Begin(task); row < tasks.End(task); ++row) {
        Random random = RandomOf(tensor, row);
        auto* values = reinterpret_cast<uint8_t*>(data.data() + row * k * size);
        for (size_t i = 0; i < k; ++i) {
          StoreFloat(options_.dtype, largest * random.Symmetric(),
                     values + i * size);
        }
      }
      meter.Add((tasks.End(task) - tasks.Begin(task)) * k);
    });
    return data;
  }

  static void StoreFloat(DType dtype, float value, uint8_t* to) {
    if (dtype == DType::kFloat32) {
      std::memcpy(to, &value, sizeof(value));
      return;
    }
    const uint16_t half = dtype == DType::kBFloat16 ? BFloat16FromFloat(value)
                                                    : Float16FromFloat(value);
    std::memcpy(to, &half, sizeof(half));
  }

  std::vector<float> Vector(const Tensor& tensor) const {
    std::vector<float> values(static_cast<size_t>(tensor.tensor.shape[0]),
                              1.0f);
    Random random = RandomOf(tensor, 0);
    for (size_t i = 0; i < values.size(); ++i) {
      if (tensor.tensor.role == LlamaTensor::Role::kBias) {
        values[i] = 0.1f * random.Symmetric();
      } else if (tensor.tensor.role == LlamaTensor::Role::kRope) {
        values[i] = tensor.tensor.values[i];
      }
    }
    return values;
  }

  const SynthOptions& options_;
  const LlamaConfig& config_;
};

std::map<std::string, std::string> MetadataOf(
    const SynthOptions& options, const LlamaConfig& config,
    const std::vector<Tensor>& tensors) {
  qat::SchemeMap schemes;
  for (const Tensor& tensor : tensors) {
    if (tensor.plan) schemes[tensor.tensor.name] = tensor.plan->scheme;
  }
  return {
      {std::string(kVersionKey), std::to_string(kModelVersion)},
      {std::string(kGraphKey), GraphToJson(LlamaGraph(config))},
      {std::string(kSchemesKey), qat::SchemesToJson(schemes)},
      {std::string(kContextLengthKey), std::to_string(options.context)},
      {"lutra.synth", "random weights of seed " + std::to_string(options.seed)},
  };
}

}  // namespace

size_t ParameterCount(const SynthOptions& options) {
  size_t count = 0;
  for (const LlamaTensor& tensor : LlamaTensors(ConfigOf(options))) {
    // Frequencies are computed, not learned.
    if (tensor.role == LlamaTensor::Role::kRope) continue;
    count +=
        TensorInfo{tensor.name, DType::kFloat32, tensor.shape}.ElementCount();
  }
  return count;
}

SynthReport SynthesizeModel(const std::filesystem::path& path,
                            const SynthOptions& options,
                            const PackProgress& progress) {
  const LlamaConfig config = ConfigOf(options);
  const std::vector<Tensor> tensors = PlanTensors(config, options.rules);
  std::vector<TensorInfo> infos;
  for (const Tensor& tensor : tensors) {
    infos.push_back(tensor.Info(options.dtype));
  }
  SynthReport report;
  report.parameters = ParameterCount(options);
  SafetensorsWriter writer(path, MetadataOf(options, config, tensors), infos);
  Meter meter(progress, report.parameters);
  Synthesizer synthesizer(options, config);
  for (const Tensor& tensor : tensors) {
    meter.Begin(tensor.tensor.name);
    synthesizer.Write(tensor, writer, meter);
  }
  writer.Commit();
  std::error_code error;
  report.file_bytes = std::filesystem::file_size(path, error);
  if (error) {
    throw Error::InFile(path.string(), "cannot be read: " + error.message());
  }
  return report;
}

}  // namespace lutra::packer
