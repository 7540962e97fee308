#ifndef LUTRA_TESTS_PACKER_ONNX_WRITER_H_
#define LUTRA_TESTS_PACKER_ONNX_WRITER_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace lutra::packer {

// A message of a protocol buffer, field by field.
class Message {
 public:
  Message& Integer(uint32_t field, int64_t value) {
    Varint(field << 3);
    Varint(static_cast<uint64_t>(value));
    return *this;
  }
  Message& Bytes(uint32_t field, const std::string& bytes) {
    Varint(field << 3 | 2);
    Varint(bytes.size());
    bytes_ += bytes;
    return *this;
  }
  Message& Add(uint32_t field, const Message& message) {
    return Bytes(field, message.bytes_);
  }
  const std::string& bytes() const { return bytes_; }

 private:
  void Varint(uint64_t value) {
    for (; value >= 0x80; value >>= 7) {
      bytes_.push_back(static_cast<char>(value | 0x80));
    }
    bytes_.push_back(static_cast<char>(value));
  }

  std::string bytes_;
};

// A graph of ONNX with one input "x", of floats if it is not said otherwise,
// and one output "y".
class OnnxWriter {
 public:
  static constexpr int64_t kFloat = 1;  // numbers of types
  static constexpr int64_t kInt8 = 3;
  static constexpr int64_t kInt64 = 7;

  explicit OnnxWriter(const std::vector<int64_t>& shape,
                      int64_t type = kFloat) {
    Input("x", shape, type);
    graph_.Add(12, Message().Bytes(1, "y"));
  }
  // One more input. Open sizes have names instead: -1 is the batch "N", -2 "T".
  OnnxWriter& Input(const std::string& name, const std::vector<int64_t>& shape,
                    int64_t type) {
    Message dims;
    for (const int64_t size : shape) {
      dims.Add(1, size < 0 ? Message().Bytes(2, size == -1 ? "N" : "T")
                           : Message().Integer(1, size));
    }
    const Message tensor = Message().Integer(1, type).Add(2, dims);
    graph_.Add(11, Message().Bytes(1, name).Add(2, Message().Add(1, tensor)));
    return *this;
  }

  struct Node {
    std::string op;
    std::vector<std::string> inputs;
    std::string output = "y";
    std::vector<std::pair<std::string, std::vector<int64_t>>> lists = {};
    std::vector<std::pair<std::string, int64_t>> numbers = {};
    std::vector<std::string> more_outputs = {};
    std::vector<std::pair<std::string, std::string>> texts = {};
  };
  OnnxWriter& Add(const Node& node) {
    Message message;
    for (const std::string& input : node.inputs) message.Bytes(1, input);
    message.Bytes(2, node.output);
    for (const std::string& output : node.more_outputs) {
      message.Bytes(2, output);
    }
    message.Bytes(4, node.op);
    for (const auto& [name, value] : node.numbers) {
      message.Add(5, Message().Bytes(1, name).Integer(20, 2).Integer(3, value));
    }
    for (const auto& [name, text] : node.texts) {
      message.Add(5, Message().Bytes(1, name).Integer(20, 3).Bytes(4, text));
    }
    for (const auto& [name, values] : node.lists) {
      Message attribute = Message().Bytes(1, name).Integer(20, 7);
      for (const int64_t value : values) attribute.Integer(8, value);
      message.Add(5, attribute);
    }
    graph_.Add(1, message);
    return *this;
  }
  OnnxWriter& Floats(const std::string& name, const std::vector<int64_t>& shape,
                     const std::vector<float>& values) {
    return Raw(name, kFloat, shape, values);
  }
  OnnxWriter& Integers(const std::string& name,
                       const std::vector<int64_t>& shape,
                       const std::vector<int64_t>& values) {
    return Raw(name, kInt64, shape, values);
  }
  OnnxWriter& Bytes(const std::string& name, const std::vector<int64_t>& shape,
                    const std::vector<int8_t>& values) {
    return Raw(name, kInt8, shape, values);
  }
  OnnxWriter& External(const std::string& name,
                       const std::vector<int64_t>& shape,
                       const std::string& file) {
    const Message entry = Message().Bytes(1, "location").Bytes(2, file);
    return Tensor(name, kFloat, shape, Message().Integer(14, 1).Add(13, entry));
  }

  std::string File() const {
    return Message()
        .Integer(1, 8)
        .Add(7, graph_)
        .Add(8, Message().Integer(2, 17))
        .bytes();
  }

 private:
  template <typename T>
  OnnxWriter& Raw(const std::string& name, int64_t type,
                  const std::vector<int64_t>& shape,
                  const std::vector<T>& values) {
    return Tensor(
        name, type, shape,
        Message().Bytes(9, {reinterpret_cast<const char*>(values.data()),
                            values.size() * sizeof(T)}));
  }
  OnnxWriter& Tensor(const std::string& name, int64_t type,
                     const std::vector<int64_t>& shape, const Message& data) {
    Message tensor = Message().Integer(2, type).Bytes(8, name);
    for (const int64_t size : shape) tensor.Integer(1, size);
    graph_.Bytes(5, tensor.bytes() + data.bytes());
    return *this;
  }

  Message graph_;
};

}  // namespace lutra::packer

#endif  // LUTRA_TESTS_PACKER_ONNX_WRITER_H_
