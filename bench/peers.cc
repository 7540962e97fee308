#include "bench/peers.h"

#include <Eigen/Core>
#include <limits>
#include <memory>

#ifdef LUTRA_HAVE_XNNPACK
#include <xnnpack.h>
#endif

namespace lutra::bench {

std::function<void()> MakeEigenGemm(const std::vector<float>& w,
                                    const std::vector<float>& x,
                                    std::vector<float>& y, size_t m, size_t n,
                                    size_t k) {
  return [&w, &x, &y, m, n, k] {
    using Matrix =
        Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
    const auto rows = static_cast<Eigen::Index>(m);
    const auto outputs = static_cast<Eigen::Index>(n);
    const auto depth = static_cast<Eigen::Index>(k);
    const Eigen::Map<const Matrix> wm(w.data(), outputs, depth);
    const Eigen::Map<const Matrix> xm(x.data(), rows, depth);
    Eigen::Map<Matrix> ym(y.data(), rows, outputs);
    ym.noalias() = xm * wm.transpose();
  };
}

#ifdef LUTRA_HAVE_XNNPACK
std::function<void()> MakeXnnpackGemm(const std::vector<float>& w,
                                      const std::vector<float>& x,
                                      std::vector<float>& y, size_t m, size_t n,
                                      size_t k, pthreadpool_t pool) {
  if (xnn_initialize(nullptr) != xnn_status_success) return nullptr;
  xnn_subgraph_t graph = nullptr;
  if (xnn_create_subgraph(2, 0, &graph) != xnn_status_success) return nullptr;
  const std::unique_ptr<xnn_subgraph, decltype(&xnn_delete_subgraph)> owner(
      graph, xnn_delete_subgraph);
  const size_t x_shape[] = {m, k};
  const size_t w_shape[] = {n, k};
  const size_t y_shape[] = {m, n};
  uint32_t x_id, w_id, y_id;
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  if (xnn_define_tensor_value(graph, xnn_datatype_fp32, 2, x_shape, nullptr, 0,
                              XNN_VALUE_FLAG_EXTERNAL_INPUT,
                              &x_id) != xnn_status_success ||
      xnn_define_tensor_value(graph, xnn_datatype_fp32, 2, w_shape, w.data(),
                              XNN_INVALID_VALUE_ID, 0,
                              &w_id) != xnn_status_success ||
      xnn_define_tensor_value(graph, xnn_datatype_fp32, 2, y_shape, nullptr, 1,
                              XNN_VALUE_FLAG_EXTERNAL_OUTPUT,
                              &y_id) != xnn_status_success ||
      xnn_define_fully_connected(graph, -kInfinity, kInfinity, x_id, w_id,
                                 XNN_INVALID_VALUE_ID, y_id,
                                 0) != xnn_status_success) {
    return nullptr;
  }
  xnn_runtime_t raw = nullptr;
  if (xnn_create_runtime_v2(graph, pool, 0, &raw) != xnn_status_success) {
    return nullptr;
  }
  const std::shared_ptr<xnn_runtime> runtime(raw, xnn_delete_runtime);
  const xnn_external_value values[] = {{0, const_cast<float*>(x.data())},
                                       {1, y.data()}};
  if (xnn_setup_runtime(raw, 2, values) != xnn_status_success) return nullptr;
  return [runtime] { xnn_invoke_runtime(runtime.get()); };
}
#else
std::function<void()> MakeXnnpackGemm(const std::vector<float>&,
                                      const std::vector<float>&,
                                      std::vector<float>&, size_t, size_t,
                                      size_t, pthreadpool_t) {
  return nullptr;
}
#endif

}  // namespace lutra::bench
