#ifndef LUTRA_PACKER_IMPORT_ONNX_ONNX_TENSOR_H_
#define LUTRA_PACKER_IMPORT_ONNX_ONNX_TENSOR_H_

#include <filesystem>
#include <map>
#include <memory>
#include <string>

#include "packer/import/network/constant.h"
#include "packer/import/protobuf.h"
#include "runtime/base/mapped_file.h"

namespace lutra::packer {

// Reads the tensors of a model.
class OnnxTensors {
 public:
  OnnxTensors(std::filesystem::path model,
              std::shared_ptr<const MappedFile> file)
      : model_(std::move(model)), file_(std::move(file)) {}

  // Throws Error.
  Constant Read(const Protobuf& tensor);

 private:
  struct Place {
    std::span<const std::byte> bytes;
    std::shared_ptr<const void> owner;
  };
  Place External(const Protobuf& tensor, const std::string& name, size_t size);
  [[noreturn]] void Fail(const std::string& name,
                         const std::string& cause) const;

  std::filesystem::path model_;
  std::shared_ptr<const MappedFile> file_;
  std::map<std::string, std::shared_ptr<const MappedFile>> beside_;
};

}  // namespace lutra::packer

#endif  // LUTRA_PACKER_IMPORT_ONNX_ONNX_TENSOR_H_
