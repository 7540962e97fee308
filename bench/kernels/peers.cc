#include "bench/kernels/peers.h"

#include <Eigen/Core>
#include <cstdint>
#include <limits>
#include <memory>
#include <random>
#include <type_traits>
#include <vector>

#ifdef LUTRA_HAVE_XNNPACK
#include <pthreadpool.h>
#include <xnnpack.h>

#include <map>
#endif

namespace lutra::bench {
namespace {

// XNNPACK reads past the end of its operands.
constexpr size_t kPadding = 64;

template <typename T>
struct Operands {
  explicit Operands(const PeerShape& shape)
      : w(shape.n * shape.k + kPadding),
        x(shape.m * shape.k + kPadding),
        y(shape.m * shape.n + kPadding) {
    std::mt19937 rng(3);
    const auto fill = [&rng](std::vector<T>& values) {
      for (T& v : values) {
        v = static_cast<T>(static_cast<int>(rng() % 255) - 127);
      }
    };
    fill(w);
    fill(x);
  }

  std::vector<T> w;
  std::vector<T> x;
  std::vector<T> y;
};

}  // namespace

std::function<void()> MakeEigenGemm(const PeerShape& shape, bool x_transposed,
                                    bool w_transposed) {
  const auto data = std::make_shared<Operands<float>>(shape);
  return [=] {
    using Matrix =
        Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
    const auto map = [](const std::vector<float>& values, size_t rows,
                        size_t columns) {
      return Eigen::Map<const Matrix>(values.data(),
                                      static_cast<Eigen::Index>(rows),
                                      static_cast<Eigen::Index>(columns));
    };
    const size_t m = shape.m;
    const size_t n = shape.n;
    const size_t k = shape.k;
    Eigen::Map<Matrix> y(data->y.data(), static_cast<Eigen::Index>(m),
                         static_cast<Eigen::Index>(n));
    const auto multiply = [&](const auto& x) {
      if (w_transposed) {
        y.noalias() = x * map(data->w, n, k).transpose();
      } else {
        y.noalias() = x * map(data->w, k, n);
      }
    };
    if (x_transposed) {
      multiply(map(data->x, k, m).transpose());
    } else {
      multiply(map(data->x, m, k));
    }
  };
}

#ifdef LUTRA_HAVE_XNNPACK
namespace {

// XNNPACK's own threads, started once; nullptr for 1.
pthreadpool_t PoolOf(size_t threads) {
  static std::map<size_t, pthreadpool_t> pools;
  if (threads == 1) return nullptr;
  pthreadpool_t& pool = pools[threads];
  if (pool == nullptr) pool = pthreadpool_create(threads);
  return pool;
}

// Defines one value of a graph; the data of a static one is not copied.
template <typename T>
bool Define(xnn_subgraph_t graph, size_t rows, size_t columns, const T* data,
            uint32_t external_id, uint32_t flags, uint32_t* id) {
  const size_t dims[] = {rows, columns};
  if constexpr (std::is_same_v<T, float>) {
    return xnn_define_tensor_value(graph, xnn_datatype_fp32, 2, dims, data,
                                   external_id, flags,
                                   id) == xnn_status_success;
  } else {
    // Outputs of |sum| < 2^14 * K come down to bytes.
    const float scale = external_id == 1 ? 4.0f : 0.02f;
    return xnn_define_quantized_tensor_value(graph, xnn_datatype_qint8, 0,
                                             scale, 2, dims, data, external_id,
                                             flags, id) == xnn_status_success;
  }
}

template <typename T>
std::function<void()> MakeXnnpack(const PeerShape& shape, size_t threads) {
  if (xnn_initialize(nullptr) != xnn_status_success) return nullptr;
  xnn_subgraph_t graph = nullptr;
  if (xnn_create_subgraph(2, 0, &graph) != xnn_status_success) return nullptr;
  const std::unique_ptr<xnn_subgraph, decltype(&xnn_delete_subgraph)> owner(
      graph, xnn_delete_subgraph);
  const auto data = std::make_shared<Operands<T>>(shape);
  uint32_t x, w, y;
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  if (!Define<T>(graph, shape.m, shape.k, nullptr, 0,
                 XNN_VALUE_FLAG_EXTERNAL_INPUT, &x) ||
      !Define<T>(graph, shape.n, shape.k, data->w.data(), XNN_INVALID_VALUE_ID,
                 0, &w) ||
      !Define<T>(graph, shape.m, shape.n, nullptr, 1,
                 XNN_VALUE_FLAG_EXTERNAL_OUTPUT, &y) ||
      xnn_define_fully_connected(graph, -kInfinity, kInfinity, x, w,
                                 XNN_INVALID_VALUE_ID, y,
                                 0) != xnn_status_success) {
    return nullptr;
  }
  xnn_runtime_t raw = nullptr;
  if (xnn_create_runtime_v2(graph, PoolOf(threads), 0, &raw) !=
      xnn_status_success) {
    return nullptr;
  }
  const std::shared_ptr<xnn_runtime> runtime(raw, xnn_delete_runtime);
  const xnn_external_value values[] = {{0, data->x.data()},
                                       {1, data->y.data()}};
  if (xnn_setup_runtime(raw, 2, values) != xnn_status_success) return nullptr;
  return [data, runtime] { xnn_invoke_runtime(runtime.get()); };
}

}  // namespace

std::function<void()> MakeXnnpackFloat(const PeerShape& shape, size_t threads) {
  return MakeXnnpack<float>(shape, threads);
}
std::function<void()> MakeXnnpackInt8(const PeerShape& shape, size_t threads) {
  return MakeXnnpack<int8_t>(shape, threads);
}
#else
std::function<void()> MakeXnnpackFloat(const PeerShape&, size_t) {
  return nullptr;
}
std::function<void()> MakeXnnpackInt8(const PeerShape&, size_t) {
  return nullptr;
}
#endif

}  // namespace lutra::bench
