#ifndef LUTRA_TESTS_TOOLS_WORKSHOP_H_
#define LUTRA_TESTS_TOOLS_WORKSHOP_H_

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "lutra/runtime/model.h"
#include "lutra/runtime/session.h"
#include "tests/runtime/model_builder.h"
#include "tests/temp_dir.h"

// Models and a data set to try the command on: 4x4 images of 3 classes, a
// network 16 -> 24 -> relu -> 3, and one that embeds ids.

namespace lutra::tools {

class Workshop {
 public:
  static constexpr size_t kImages = 30;
  static constexpr size_t kFeatures = 16;
  static constexpr size_t kHidden = 24;
  static constexpr size_t kClasses = 3;

  // Writes float.safetensors, trained.safetensors (on a 2-bit grid), ids.
  // safetensors, and data/ with the test images.
  Workshop();

  const std::filesystem::path& dir() const { return dir_.path(); }
  // "dir/name", also for files that do not exist yet.
  std::string operator/(std::string_view name) const {
    return (dir_ / name).string();
  }
  std::string data() const { return *this / "data"; }

  // The network with weights as given.
  ModelBuilder Network(const std::vector<float>& w1,
                       const std::vector<float>& w2) const;

  // Scores of all images, [kImages, kClasses].
  std::vector<float> Scores(const std::string& model,
                            kernels::ActivationType activations) const;
  static std::vector<size_t> Classes(const std::vector<float>& scores);

  std::vector<uint8_t> pixels;  // [kImages, 4, 4]
  std::vector<uint8_t> labels;
  std::vector<float> w1;
  std::vector<float> w2;

 private:
  TempDir dir_;
};

// An idx file of unsigned bytes.
std::string IdxBytes(const std::vector<uint32_t>& shape,
                     const std::vector<uint8_t>& data);

}  // namespace lutra::tools

#endif  // LUTRA_TESTS_TOOLS_WORKSHOP_H_
