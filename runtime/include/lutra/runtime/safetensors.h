#ifndef LUTRA_RUNTIME_SAFETENSORS_H_
#define LUTRA_RUNTIME_SAFETENSORS_H_

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "lutra/kernels/span.h"
#include "lutra/runtime/load_options.h"

// Reader and writer of the safetensors container
// (https://github.com/huggingface/safetensors): an 8-byte little-endian header
// length, a JSON header, raw little-endian data.

namespace lutra {

class FileBytes;

enum class DType {
  kFloat64,
  kFloat32,
  kFloat16,
  kBFloat16,
  kInt64,
  kInt32,
  kInt16,
  kInt8,
  kUInt64,
  kUInt32,
  kUInt16,
  kUInt8,
  kBool,
  kFloat8E4M3,
  kFloat8E5M2,
  kFloat8E8M0,
};

size_t ByteSize(DType dtype);
// The container's spelling, e.g. "F32".
std::string_view Name(DType dtype);

// "[3, 4]", for messages and tables.
std::string ShapeToString(Span<const int64_t> shape);

struct TensorInfo {
  std::string name;
  DType dtype = DType::kFloat32;
  std::vector<int64_t> shape;

  // Product of the shape; 1 for a scalar.
  size_t ElementCount() const;
  size_t ByteCount() const { return ElementCount() * ByteSize(dtype); }
};

struct TensorView : TensorInfo {
  Span<const std::byte> data;  // inside the file, not always aligned

  // The elements as T. Throws Error if the dtype is another or the data is not
  // aligned for T (lutra's writer aligns).
  Span<const float> Floats(std::string_view file) const;
};

// A file, mapped or in memory (see Storage). Open checks everything before it
// returns: header length, JSON, dtypes, shapes (overflow), extents (inside the
// file, in order, without holes or overlap), names (unique), so that
// TensorView::data is safe. May be used from several threads. Copies
// share the bytes. A mapped file must keep its bytes meanwhile (see Model).
class SafetensorsFile {
 public:
  // Throws Error.
  static SafetensorsFile Open(const std::filesystem::path& path,
                              Storage storage = Storage::kInPlace);
  // `size` bytes from `offset` on of an open file, e.g. an asset of a phone
  // app. The descriptor stays the caller's, who may close it. `name` takes the
  // place of the path.
  static SafetensorsFile OpenDescriptor(int descriptor, uint64_t offset,
                                        uint64_t size, std::string_view name,
                                        Storage storage = Storage::kInPlace);
  // Bytes in memory; those used in place outlive the file and its copies.
  static SafetensorsFile OpenMemory(Span<const std::byte> bytes,
                                    std::string_view name,
                                    Storage storage = Storage::kInPlace);

  // Tensors that lie anywhere in memory and outlive the file and its copies,
  // e.g. weights that are being trained: what has been checked of a file holds
  // for them as long as nobody moves them or changes their shapes. Throws Error
  // for names that occur twice and for data of another size than the shape's.
  static SafetensorsFile FromTensors(
      std::string_view name, std::map<std::string, std::string> metadata,
      std::vector<TensorView> tensors);

  // Adds tensors of another file, or views of parts of them, whose bytes this
  // keeps from now on. Throws Error for names that occur twice.
  void Add(const SafetensorsFile& other, std::vector<TensorView> tensors);

  // Puts a float32 tensor of the same shape in the place of `name` and leaves
  // out `without`. Both must be there.
  void Replace(std::string_view name, std::vector<float> values,
               std::string_view without);

  const std::string& path() const { return path_; }
  // Of the file, or of all tensors where there is none.
  size_t byte_size() const { return byte_size_; }
  const std::map<std::string, std::string>& metadata() const {
    return metadata_;
  }
  // In file order.
  const std::vector<TensorView>& tensors() const { return tensors_; }
  // nullptr if there is none.
  const TensorView* Find(std::string_view name) const;
  // Throws Error if there is none.
  const TensorView& Get(std::string_view name) const;

 private:
  static SafetensorsFile Parse(std::string_view path,
                               std::shared_ptr<const FileBytes> file);
  void Index();

  std::string path_;
  size_t byte_size_ = 0;
  std::vector<std::shared_ptr<const FileBytes>> files_;
  std::vector<std::shared_ptr<const std::vector<float>>> replaced_;
  std::map<std::string, std::string> metadata_;
  std::vector<TensorView> tensors_;
  std::map<std::string, size_t, std::less<>> index_;
};

// Writes a file tensor by tensor, so that memory holds one at a time. All
// tensors are declared first. The file appears under its name when Commit
// returns; until then, and if the writer is destroyed without Commit, only a
// temporary file beside it exists (removed by the destructor).
//
// Data starts 64-byte aligned, and tensors are laid out by falling alignment
// (multiples of 64 bytes first, then by element size), so that each one is
// aligned for its type without holes.
class SafetensorsWriter {
 public:
  // Throws Error, e.g. for a duplicate name or a folder that is not writable.
  SafetensorsWriter(const std::filesystem::path& path,
                    const std::map<std::string, std::string>& metadata,
                    const std::vector<TensorInfo>& tensors);
  ~SafetensorsWriter();
  SafetensorsWriter(const SafetensorsWriter&) = delete;
  SafetensorsWriter& operator=(const SafetensorsWriter&) = delete;

  // In any order, each once; `data` has the declared size. Throws Error.
  void Write(std::string_view name, Span<const std::byte> data);
  // A tensor in parts: `data` from byte `offset` of it on. Parts come in any
  // order and do not overlap. Throws Error.
  void WritePart(std::string_view name, size_t offset,
                 Span<const std::byte> data);
  // Replaces the metadata, e.g. by what is known only after writing. The header
  // has its place already: throws Error if it would be longer than at first.
  void ReplaceMetadata(const std::map<std::string, std::string>& metadata);
  // Where the file is until Commit. It can be opened there when all tensors are
  // written.
  const std::string& temporary() const;
  // Throws Error if a tensor is missing.
  void Commit();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace lutra

#endif  // LUTRA_RUNTIME_SAFETENSORS_H_
