#include <xnnpack.h>

#include <array>
#include <limits>
#include <string>

#include "lutra/runtime/error.h"
#include "runtime/ops/dense.h"

// Only the part of the subgraph API that has the same signatures in the
// releases of 2022, 2024 and later. Newer ones mark some of it as deprecated.
#if defined(__GNUC__)
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
#endif

namespace lutra {
namespace {

void Check(xnn_status status, const char* call) {
  if (status != xnn_status_success) {
    throw Error(std::string("XNNPACK: ") + call + " failed with status " +
                std::to_string(static_cast<int>(status)));
  }
}

// External values of the subgraph.
constexpr uint32_t kInput = 0;
constexpr uint32_t kOutput = 1;

struct DeleteSubgraph {
  void operator()(xnn_subgraph_t subgraph) const {
    xnn_delete_subgraph(subgraph);
  }
};
using Subgraph = std::unique_ptr<xnn_subgraph, DeleteSubgraph>;

struct DeleteRuntime {
  void operator()(xnn_runtime_t runtime) const { xnn_delete_runtime(runtime); }
};
using Runtime = std::unique_ptr<xnn_runtime, DeleteRuntime>;

// A subgraph compiled for kDenseBlockRows rows.
class XnnpackBlocks : public DenseBlocks {
 public:
  explicit XnnpackBlocks(Runtime runtime) : runtime_(std::move(runtime)) {}

  void Run(const float* x, float* y) override {
    const std::array<xnn_external_value, 2> values = {
        xnn_external_value{kInput, const_cast<float*>(x)},
        xnn_external_value{kOutput, y}};
    Check(xnn_setup_runtime(runtime_.get(), values.size(), values.data()),
          "xnn_setup_runtime");
    Check(xnn_invoke_runtime(runtime_.get()), "xnn_invoke_runtime");
  }

 private:
  Runtime runtime_;
};

uint32_t DefineTensor(xnn_subgraph_t subgraph, std::span<const size_t> shape,
                      const void* data, uint32_t external_id, uint32_t flags) {
  uint32_t id = XNN_INVALID_VALUE_ID;
  Check(xnn_define_tensor_value(subgraph, xnn_datatype_fp32, shape.size(),
                                shape.data(), data, external_id, flags, &id),
        "xnn_define_tensor_value");
  return id;
}

}  // namespace

size_t DenseTailBytes() { return XNN_EXTRA_BYTES; }

std::unique_ptr<DenseBlocks> MakeDenseBlocks(const float* w, const float* bias,
                                             size_t n, size_t k,
                                             pthreadpool_t pool) {
  Check(xnn_initialize(/*allocator=*/nullptr), "xnn_initialize");
  xnn_subgraph_t created = nullptr;
  Check(xnn_create_subgraph(/*external_value_ids=*/2, /*flags=*/0, &created),
        "xnn_create_subgraph");
  const Subgraph subgraph(created);
  DefineTensor(created, std::array{kDenseBlockRows, k}, nullptr, kInput,
               XNN_VALUE_FLAG_EXTERNAL_INPUT);
  DefineTensor(created, std::array{kDenseBlockRows, n}, nullptr, kOutput,
               XNN_VALUE_FLAG_EXTERNAL_OUTPUT);
  const uint32_t w_id =
      DefineTensor(created, std::array{n, k}, w, XNN_INVALID_VALUE_ID, 0);
  const uint32_t bias_id =
      bias == nullptr
          ? XNN_INVALID_VALUE_ID
          : DefineTensor(created, std::array{n}, bias, XNN_INVALID_VALUE_ID, 0);
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  Check(xnn_define_fully_connected(created, -kInfinity, kInfinity, kInput, w_id,
                                   bias_id, kOutput, /*flags=*/0),
        "xnn_define_fully_connected");
  // This copies the weights, in the order that XNNPACK reads them.
  xnn_runtime_t compiled = nullptr;
  Check(xnn_create_runtime_v2(created, pool, /*flags=*/0, &compiled),
        "xnn_create_runtime_v2");
  return std::make_unique<XnnpackBlocks>(Runtime(compiled));
}

}  // namespace lutra
