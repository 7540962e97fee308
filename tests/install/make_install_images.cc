// Writes a network of pixels and three files of images, and prints what
// examples/classify.c must print for each of these:
//
//   make_install_images FOLDER
//
// writes model.safetensors, five.idx, gray.pgm and colour.ppm there.

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <random>
#include <string>
#include <vector>

#include "lutra/runtime/session.h"
#include "tests/kernels/random_matrix.h"
#include "tests/runtime/model_builder.h"

namespace {

constexpr uint32_t kWidth = 8;
constexpr uint32_t kHeight = 6;
constexpr uint32_t kBytes = kWidth * kHeight * 3;  // of an image
constexpr uint32_t kClasses = 7;

std::string Numbers(std::initializer_list<uint8_t> bytes) {
  return {bytes.begin(), bytes.end()};
}

void PrintClasses(lutra::Session& session, const std::string& images) {
  for (size_t i = 0; i < images.size() / kBytes; ++i) {
    std::vector<float> x(kBytes);
    std::vector<float> y(kClasses);
    for (size_t j = 0; j < x.size(); ++j) {
      const auto byte = static_cast<uint8_t>(images[i * kBytes + j]);
      x[j] = static_cast<float>(byte) / 255.0f;
    }
    const void* const inputs[] = {x.data()};
    float* const outputs[] = {y.data()};
    session.Run(1, inputs, outputs);
    const auto best = std::max_element(y.begin(), y.end());
    std::printf("image %zu: class %td, score %.4g\n", i, best - y.begin(),
                static_cast<double>(*best));
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  const std::string folder = argv[1];
  std::mt19937 rng(5);
  const auto packed = lutra::kernels::MakeRandomMatrix(
      {.n = kClasses, .k = kBytes, .bits = 2, .group_size = 16},
      lutra::kernels::TableKind::kSmall, rng);
  lutra::ModelBuilder()
      .Input("x", {kHeight, kWidth, 3})
      .Add(lutra::OpType::kReshape, {"x"}, "flat")
      .Set("shape", std::vector<int64_t>{kBytes})
      .Add(lutra::OpType::kLinear, {"flat"}, "y", "w")
      .Output("y")
      .Packed("w", {packed.blob.get(), packed.blob_bytes})
      .Write(folder + "/model.safetensors");
  lutra::Session session(lutra::Model::Load(folder + "/model.safetensors"), {});

  // Idx files have numbers of four bytes, the highest first. The images of the
  // three files differ.
  const auto write = [&](const char* name, const std::string& head,
                         size_t count) {
    std::string images(count * kBytes, '\0');
    for (char& byte : images) byte = static_cast<char>(rng() & 255u);
    std::ofstream(folder + "/" + name, std::ios::binary) << head << images;
    PrintClasses(session, images);
  };
  write("five.idx", Numbers({0, 0,       8, 4, 0, 0,      0, 5, 0, 0,
                             0, kHeight, 0, 0, 0, kWidth, 0, 0, 0, 3}),
        5);
  // To a network of bytes a gray image three times as wide is the same.
  write("gray.pgm", "P5\n# a comment\n24 6\n255\n", 1);
  write("colour.ppm", "P6 8 6 255\n", 1);
  return 0;
}
