// y = W x with 2-bit weights, by the kernels alone: for other engines.
#include <lutra/kernels/gemm.h>

#include <cstdio>
#include <vector>

using namespace lutra::kernels;

// Packed matrices and scratch memory begin at multiples of 64 bytes.
struct alignas(kBlobAlignment) Line {
  uint8_t bytes[kBlobAlignment];
};
static std::vector<Line> Memory(size_t bytes) {
  return std::vector<Line>(bytes / sizeof(Line) + 1);
}

int main() {
  // W[n][k] = 0.5 * table[(n + k) % 4]: 32 rows, 128 columns.
  LutFormat format;
  format.n = 32;
  format.k = 128;
  const int8_t table[] = {-3, -1, 1, 3};
  const std::vector<float> scales(format.n * format.GroupsPerRow(), 0.5f);
  std::vector<uint8_t> indices(format.n * format.k);
  for (size_t i = 0; i < indices.size(); ++i) {
    indices[i] = static_cast<uint8_t>((i / format.k + i % format.k) % 4);
  }
  LutMatrixValues values;
  values.indices = indices.data();
  values.scales = scales.data();
  values.tables = table;
  std::vector<Line> blob = Memory(BlobBytes(format));
  PackLutMatrix(format, values, blob.front().bytes);

  // Blobs may come from files: parsing checks them.
  LutMatrix w;
  if (const char* error =
          ParseLutMatrix(blob.front().bytes, BlobBytes(format), &w)) {
    std::fprintf(stderr, "%s\n", error);
    return 1;
  }
  const auto type = ActivationType::kInt8Asymmetric;
  std::vector<Line> scratch = Memory(GemmScratchBytes(w, type, 1));
  std::vector<float> x(format.k, 0.0f), y(format.n);
  x[0] = 1;
  GemmArguments arguments;
  arguments.x = x.data();
  arguments.x_stride = format.k;
  arguments.m = 1;  // more rows of x: a GEMM
  arguments.y = y.data();
  arguments.y_stride = format.n;
  Gemm(w, type, arguments, scratch.data(), nullptr);  // on this thread
  for (size_t n = 0; n < 4; ++n) std::printf("y[%zu] = %.3f\n", n, y[n]);
}
