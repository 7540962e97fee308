// y = W x with 2-bit weights, by the kernels alone: for other engines.
#include <lutra/kernels/gemm.h>

#include <cstdio>
#include <memory>
#include <new>
#include <vector>

using namespace lutra::kernels;

struct Free {
  void operator()(uint8_t* bytes) const {
    ::operator delete(bytes, std::align_val_t{kBlobAlignment});
  }
};
using Bytes = std::unique_ptr<uint8_t, Free>;
static Bytes Aligned(size_t size) {
  return Bytes(static_cast<uint8_t*>(
      ::operator new(size, std::align_val_t{kBlobAlignment})));
}

int main() {
  // W[n][k] = 0.5 * table[(n + k) % 4]: 32 rows, 128 columns.
  LutFormat format;
  format.n = 32;
  format.k = 128;
  const std::vector<float> scales(format.n * format.GroupsPerRow(), 0.5f);
  const int8_t table[] = {-3, -1, 1, 3};
  std::vector<uint8_t> indices(format.n * format.k);
  for (size_t i = 0; i < indices.size(); ++i) {
    indices[i] = static_cast<uint8_t>((i / format.k + i % format.k) % 4);
  }
  LutMatrixValues values;
  values.indices = indices.data();
  values.scales = scales.data();
  values.tables = table;
  const Bytes blob = Aligned(BlobBytes(format));
  PackLutMatrix(format, values, blob.get());

  // Blobs may come from files: parsing checks them.
  LutMatrix w;
  if (const char* error = ParseLutMatrix(blob.get(), BlobBytes(format), &w)) {
    std::fprintf(stderr, "%s\n", error);
    return 1;
  }
  const auto type = ActivationType::kInt8Asymmetric;
  const Bytes scratch = Aligned(GemmScratchBytes(w, type, 1));
  std::vector<float> x(format.k, 0.0f), y(format.n);
  x[0] = 1;
  GemmArguments arguments;
  arguments.x = x.data();
  arguments.x_stride = format.k;
  arguments.m = 1;
  arguments.y = y.data();
  arguments.y_stride = format.n;
  Gemm(w, type, arguments, scratch.get(), nullptr);  // on this thread
  for (size_t n = 0; n < 4; ++n) std::printf("y[%zu] = %.3f\n", n, y[n]);
}
