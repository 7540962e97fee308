#ifndef LUTRA_TESTS_PACKER_GGUF_BYTES_H_
#define LUTRA_TESTS_PACKER_GGUF_BYTES_H_

#include <gtest/gtest.h>

#include <cstdint>
#include <filesystem>
#include <string>

#include "lutra/runtime/error.h"
#include "packer/import/gguf/gguf_file.h"
#include "tests/packer/import_data.h"
#include "tests/runtime/throws.h"
#include "tests/temp_dir.h"

namespace lutra::packer {

// A file piece by piece, so that each can be wrong.
class GgufBytes {
 public:
  template <typename T>
  GgufBytes& Put(T value) {
    const char* bytes = reinterpret_cast<const char*>(&value);
    bytes_.append(bytes, sizeof(value));
    return *this;
  }
  GgufBytes& Text(const std::string& text) {
    Put<uint64_t>(text.size());
    bytes_ += text;
    return *this;
  }
  GgufBytes& Head(uint64_t tensors, uint64_t values, uint32_t version = 3) {
    bytes_ += "GGUF";
    return Put(version).Put(tensors).Put(values);
  }
  GgufBytes& Value(const std::string& key, const std::string& text) {
    return Text(key).Put<uint32_t>(8).Text(text);
  }
  GgufBytes& Value(const std::string& key, uint32_t number) {
    return Text(key).Put<uint32_t>(4).Put(number);
  }
  GgufBytes& Value(const std::string& key, float number) {
    return Text(key).Put<uint32_t>(6).Put(number);
  }
  GgufBytes& Tensor(const std::string& name, std::vector<uint64_t> shape,
                    uint32_t type, uint64_t offset) {
    Text(name).Put(static_cast<uint32_t>(shape.size()));
    for (const uint64_t dimension : shape) Put(dimension);
    return Put(type).Put(offset);
  }
  GgufBytes& Data(size_t size, size_t alignment = 32) {
    while (bytes_.size() % alignment != 0) bytes_ += '\0';
    bytes_.append(size, '\0');
    return *this;
  }
  const std::string& bytes() const { return bytes_; }

 private:
  std::string bytes_;
};

class GgufTest : public ::testing::Test {
 protected:
  std::filesystem::path Write(const GgufBytes& file) {
    const auto path = dir_ / "model.gguf";
    WriteText(path, file.bytes());
    return path;
  }
  // Why the file, or one of its tensors, is refused.
  std::string Refusal(const GgufBytes& file) {
    const auto path = Write(file);
    return ErrorMessage([&] {
      RawTensors plain;
      StoredWeights stored;
      for (const auto& part : OpenGguf(path)) {
        for (const GgufTensor& tensor : part->tensors()) {
          AddGgufTensor(part, tensor, tensor.name, plain, stored);
        }
      }
    });
  }

  // The same, or nothing, of the file alone.
  std::string Opening(const GgufBytes& file) {
    const auto path = Write(file);
    try {
      OpenGguf(path);
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  }

  TempDir dir_;
};

}  // namespace lutra::packer

#endif  // LUTRA_TESTS_PACKER_GGUF_BYTES_H_
