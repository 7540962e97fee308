#ifndef LUTRA_TESTS_PACKER_ONNX_IMPORTER_H_
#define LUTRA_TESTS_PACKER_ONNX_IMPORTER_H_

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "lutra/packer/import.h"
#include "lutra/runtime/error.h"
#include "lutra/runtime/session.h"
#include "tests/packer/onnx_writer.h"
#include "tests/runtime/raw_file.h"
#include "tests/temp_dir.h"

namespace lutra::packer {

// Imports graphs of one input and one output, and runs them.
class OnnxImportTest : public ::testing::Test {
 protected:
  ImportReport Import(const OnnxWriter& writer) {
    WriteBytes(dir_ / "m.onnx", writer.File());
    return ImportModel(
        {.source = dir_ / "m.onnx", .output = dir_ / "m.safetensors"});
  }
  // `x`: four bytes for each element.
  template <typename T>
  std::vector<float> Run(const OnnxWriter& writer, const std::vector<T>& x) {
    Import(writer);
    const auto model = Imported();
    Session session(model, {.activations = kernels::ActivationType::kFloat32,
                            .threads = 1});
    const size_t rows = x.size() / model->inputs()[0].ElementCount();
    std::vector<float> y(rows * model->outputs()[0].ElementCount());
    const void* const in = x.data();
    float* const out = y.data();
    session.Run(rows, {&in, 1}, {&out, 1});
    return y;
  }
  std::vector<float> Run(const OnnxWriter& writer,
                         std::initializer_list<float> x) {
    return Run(writer, std::vector<float>(x));
  }
  std::shared_ptr<const Model> Imported() const {
    return Model::Load(dir_ / "m.safetensors");
  }
  size_t CountOf(OpType op) const {
    const auto model = Imported();
    const std::vector<Node>& nodes = model->graph().nodes;
    return static_cast<size_t>(
        std::count_if(nodes.begin(), nodes.end(),
                      [&](const Node& node) { return node.op == op; }));
  }
  // Nodes that compute: others give values another shape.
  size_t Computing() const {
    return Imported()->graph().nodes.size() - CountOf(OpType::kReshape);
  }
  std::string Refusal(const OnnxWriter& writer) {
    try {
      Import(writer);
    } catch (const Error& error) {
      EXPECT_FALSE(std::filesystem::exists(dir_ / "m.safetensors"));
      return error.what();
    }
    return "";
  }

  TempDir dir_;
};

}  // namespace lutra::packer

#endif  // LUTRA_TESTS_PACKER_ONNX_IMPORTER_H_
