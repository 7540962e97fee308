#include "lutra/qat/dataset.h"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include "lutra/runtime/error.h"
#include "qat/data/npy_folder.h"

namespace lutra::qat {
namespace {

// zlib reads plain files through the same calls.
class ByteReader {
 public:
  explicit ByteReader(const std::filesystem::path& path)
      : path_(path.string()), file_(gzopen(path_.c_str(), "rb")) {
    if (file_ == nullptr) {
      const int code = errno;
      throw Error::InFile(path_, code == 0
                                     ? std::string("cannot open")
                                     : std::generic_category().message(code));
    }
    gzbuffer(file_.get(), 1 << 17);
  }

  const std::string& path() const { return path_; }
  // Whether a Read met a gzip stream without its end.
  bool cut_off() const { return cut_off_; }

  // Returns how many of `size` bytes there were; fewer only at the end.
  size_t Read(uint8_t* data, size_t size) {
    size_t done = 0;
    while (done < size) {
      const auto part =
          static_cast<unsigned>(std::min<size_t>(size - done, size_t{1} << 20));
      const int read = gzread(file_.get(), data + done, part);
      if (read < 0 && ResumeInterrupted()) continue;
      if (read <= 0) break;
      done += static_cast<size_t>(read);
      position_ += read;
    }
    int code = Z_OK;
    const char* message = gzerror(file_.get(), &code);
    // The compressed stream stops early. What came before it is valid, and the
    // caller reports what is missing.
    if (code == Z_BUF_ERROR) cut_off_ = true;
    if (code == Z_ERRNO) {
      throw Error::InFile(path_, std::generic_category().message(errno));
    }
    if (code != Z_OK && code != Z_BUF_ERROR) {
      throw Error::InFile(path_, "damaged gzip data: " + Cause(message));
    }
    return done;
  }

 private:
  // zlib gives up where a signal interrupts it, and loses what it has read:
  // true if it was that, and the file goes on where it was.
  bool ResumeInterrupted() {
    const int number = errno;
    int code = Z_OK;
    gzerror(file_.get(), &code);
    if (code != Z_ERRNO || number != EINTR) return false;
    gzclearerr(file_.get());
    return gzrewind(file_.get()) == 0 &&
           gzseek(file_.get(), position_, SEEK_SET) == position_;
  }

  struct Close {
    void operator()(gzFile file) const { gzclose(file); }
  };

  // zlib prefixes its messages by the path.
  std::string Cause(std::string_view message) const {
    if (message.starts_with(path_)) message.remove_prefix(path_.size());
    if (message.starts_with(": ")) message.remove_prefix(2);
    return std::string(message);
  }

  std::string path_;
  std::unique_ptr<gzFile_s, Close> file_;
  z_off_t position_ = 0;
  bool cut_off_ = false;
};

std::string_view TypeName(uint8_t type) {
  switch (type) {
    case 0x09:
      return "signed bytes";
    case 0x0B:
      return "16-bit integers";
    case 0x0C:
      return "32-bit integers";
    case 0x0D:
      return "32-bit floats";
    case 0x0E:
      return "64-bit floats";
    default:
      return "";
  }
}

std::vector<size_t> ReadHeader(ByteReader& reader) {
  std::array<uint8_t, 4> magic{};
  if (reader.Read(magic.data(), magic.size()) != magic.size()) {
    throw Error::InFile(reader.path(),
                        "truncated: no room for the magic number of idx");
  }
  const std::string_view type = TypeName(magic[2]);
  if (magic[0] != 0 || magic[1] != 0 || (magic[2] != 0x08 && type.empty())) {
    char text[64];
    std::snprintf(text, sizeof(text),
                  "not an idx file: magic number is %02x%02x%02x%02x", magic[0],
                  magic[1], magic[2], magic[3]);
    throw Error::InFile(reader.path(), text);
  }
  if (magic[2] != 0x08) {
    throw Error::InFile(reader.path(), "holds " + std::string(type) +
                                           ", only unsigned bytes are read");
  }
  const size_t rank = magic[3];
  if (rank == 0 || rank > kMaxIdxRank) {
    throw Error::InFile(reader.path(),
                        "has " + std::to_string(rank) + " dimensions, 1 to " +
                            std::to_string(kMaxIdxRank) + " are read");
  }
  std::array<uint8_t, 4 * kMaxIdxRank> bytes{};
  if (reader.Read(bytes.data(), 4 * rank) != 4 * rank) {
    throw Error::InFile(reader.path(), "truncated within its header");
  }
  std::vector<size_t> shape(rank);
  for (size_t i = 0; i < rank; ++i) {
    const uint8_t* b = bytes.data() + 4 * i;
    shape[i] = size_t{b[0]} << 24 | size_t{b[1]} << 16 | size_t{b[2]} << 8 |
               size_t{b[3]};
  }
  return shape;
}

// "60000x28x28".
std::string ShapeText(const std::vector<size_t>& shape) {
  std::string text;
  for (const size_t size : shape) {
    if (!text.empty()) text += 'x';
    text += std::to_string(size);
  }
  return text;
}

std::filesystem::path FindFile(const std::filesystem::path& folder,
                               const std::string& name) {
  std::error_code error;
  for (const char* suffix : {".gz", ""}) {
    std::filesystem::path path = folder / (name + suffix);
    // One that cannot be looked at may be it: reading it then says why.
    if (std::filesystem::exists(path, error) || error) return path;
  }
  throw Error::InFile(
      folder.string(),
      (std::filesystem::is_directory(folder, error)
           ? "holds neither " + name + " nor " + name + ".gz"
           : std::string("no such folder")) +
          "; Fashion-MNIST is in Debian's and Ubuntu's package "
          "dataset-fashion-mnist (/usr/share/datasets/fashion-mnist)");
}

}  // namespace

IdxArray ReadIdx(const std::filesystem::path& path) {
  ByteReader reader(path);
  IdxArray array;
  array.shape = ReadHeader(reader);
  uint64_t total = 1;
  for (const size_t size : array.shape) {
    if (size == 0) {
      throw Error::InFile(reader.path(),
                          "is empty: its shape is " + ShapeText(array.shape));
    }
    if (size > kMaxIdxBytes / total) {
      throw Error::InFile(
          reader.path(),
          "declares too much data: its shape is " + ShapeText(array.shape));
    }
    total *= size;
  }
  // Memory grows with what the file delivers, not with what it declares. One
  // byte too many is asked for: it shows data that does not belong there, and
  // makes zlib look for the end of its stream and check it.
  constexpr uint64_t kPart = uint64_t{1} << 24;
  const uint64_t wanted = total + 1;
  uint64_t have = 0;
  while (have < wanted) {
    const auto part = static_cast<size_t>(std::min(kPart, wanted - have));
    array.data.resize(static_cast<size_t>(have) + part);
    const size_t read = reader.Read(array.data.data() + have, part);
    have += read;
    if (read < part) break;
  }
  if (have < total) {
    throw Error::InFile(reader.path(),
                        "truncated: its shape " + ShapeText(array.shape) +
                            " needs " + std::to_string(total) +
                            " bytes of data, it has " + std::to_string(have));
  }
  if (have > total) {
    throw Error::InFile(
        reader.path(),
        "has bytes after the data of its shape " + ShapeText(array.shape));
  }
  if (reader.cut_off()) {
    throw Error::InFile(reader.path(), "truncated: its gzip stream has no end");
  }
  array.data.resize(static_cast<size_t>(total));
  return array;
}

size_t LabelledImages::Classes() const {
  const auto largest = std::max_element(labels.begin(), labels.end());
  return largest == labels.end() ? 0 : size_t{*largest} + 1;
}

LabelledImages MakeLabelledImages(const IdxArray& images, IdxArray labels,
                                  const std::filesystem::path& name) {
  if (images.shape.size() < 2 || labels.shape.size() != 1) {
    throw Error::InFile(name.string(),
                        "images of shape " + ShapeText(images.shape) +
                            " and labels of shape " + ShapeText(labels.shape) +
                            " are not a set of images with one label each");
  }
  if (images.shape[0] != labels.shape[0]) {
    throw Error::InFile(name.string(),
                        std::to_string(images.shape[0]) + " images but " +
                            std::to_string(labels.shape[0]) + " labels");
  }
  LabelledImages result;
  result.count = images.shape[0];
  result.image_shape.assign(images.shape.begin() + 1, images.shape.end());
  result.labels = std::move(labels.data);
  result.images.resize(images.data.size());
  std::transform(images.data.begin(), images.data.end(), result.images.begin(),
                 [](uint8_t pixel) { return static_cast<float>(pixel) / 255; });
  return result;
}

LabelledImages LoadImageFolder(const std::filesystem::path& folder,
                               DatasetPart part) {
  if (IsNpyFolder(folder)) return LoadNpyFolder(folder, part);
  const std::string prefix = part == DatasetPart::kTrain ? "train" : "t10k";
  // Both are looked for before the first is read.
  const auto images = FindFile(folder, prefix + "-images-idx3-ubyte");
  const auto labels = FindFile(folder, prefix + "-labels-idx1-ubyte");
  return MakeLabelledImages(ReadIdx(images), ReadIdx(labels),
                            folder / (prefix + "-*"));
}

}  // namespace lutra::qat
