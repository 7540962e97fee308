#include "packer/import/torch_file/zip_file.h"

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "lutra/runtime/error.h"

namespace lutra::packer {
namespace {

constexpr uint32_t kLocalMagic = 0x04034B50;
constexpr uint32_t kEntryMagic = 0x02014B50;
constexpr uint32_t kEndMagic = 0x06054B50;
constexpr uint32_t kEnd64Magic = 0x06064B50;
constexpr uint32_t kLocator64Magic = 0x07064B50;
constexpr size_t kLocalBytes = 30;
constexpr size_t kEntryBytes = 46;
constexpr size_t kEndBytes = 22;
constexpr size_t kEnd64Bytes = 56;
constexpr size_t kLocatorBytes = 20;
constexpr size_t kLongestComment = 65535;
constexpr uint16_t kExtra64 = 1;
constexpr uint32_t kIn64 = 0xFFFFFFFF;  // the number is in the extension
constexpr uint64_t kMostEntries = uint64_t{1} << 20;

class Bytes {
 public:
  Bytes(std::span<const std::byte> bytes, const std::string& file)
      : bytes_(bytes), file_(file) {}

  size_t size() const { return bytes_.size(); }
  [[noreturn]] void Fail(const std::string& cause) const {
    throw Error::InFile(file_, "zip archive " + cause);
  }
  std::span<const std::byte> Part(uint64_t at, uint64_t size) const {
    if (at > bytes_.size() || size > bytes_.size() - at) {
      Fail("runs past the end of the file");
    }
    return bytes_.subspan(static_cast<size_t>(at), static_cast<size_t>(size));
  }
  template <typename T>
  T Number(uint64_t at) const {
    T value;
    std::memcpy(&value, Part(at, sizeof(T)).data(), sizeof(T));
    return value;
  }

 private:
  std::span<const std::byte> bytes_;
  const std::string& file_;
};

struct Directory {
  uint64_t at = 0;
  uint64_t count = 0;
};

Directory FindDirectory(const Bytes& in) {
  if (in.size() < kEndBytes) in.Fail("is too short");
  const size_t furthest = std::min(in.size() - kEndBytes, kLongestComment);
  for (size_t back = 0; back <= furthest; ++back) {
    const uint64_t end = in.size() - kEndBytes - back;
    if (in.Number<uint32_t>(end) != kEndMagic) continue;
    Directory directory{in.Number<uint32_t>(end + 16),
                        in.Number<uint16_t>(end + 10)};
    const bool is64 =
        end >= kLocatorBytes &&
        in.Number<uint32_t>(end - kLocatorBytes) == kLocator64Magic;
    if (is64) {
      const auto at = in.Number<uint64_t>(end - kLocatorBytes + 8);
      in.Part(at, kEnd64Bytes);
      if (in.Number<uint32_t>(at) != kEnd64Magic) in.Fail("is damaged");
      directory = {in.Number<uint64_t>(at + 48), in.Number<uint64_t>(at + 32)};
    }
    return directory;
  }
  in.Fail(
      "has no directory: the file is cut off, or none of torch.save since 1.6");
}

struct Entry {
  std::string name;
  uint64_t size = 0;
  uint64_t at = 0;  // of its local header
};

// What the 64-bit extension has in place of the numbers that do not fit.
void Extend(const Bytes& in, uint64_t at, uint64_t length, bool stored_too,
            Entry& entry) {
  const uint64_t end = at + length;
  while (at + 4 <= end) {
    const auto id = in.Number<uint16_t>(at);
    const auto size = in.Number<uint16_t>(at + 2);
    at += 4;
    if (size > end - at) in.Fail("is damaged");
    if (id == kExtra64) {
      const uint64_t last = at + size;
      const auto next = [&](uint64_t& value) {
        if (at + sizeof(uint64_t) > last) in.Fail("is damaged");
        value = in.Number<uint64_t>(at);
        at += sizeof(uint64_t);
      };
      uint64_t stored = entry.size;
      if (entry.size == kIn64) next(entry.size);
      if (stored_too) next(stored);
      if (entry.at == kIn64) next(entry.at);
      return;
    }
    at += size;
  }
}

}  // namespace

ZipFile::ZipFile(const std::filesystem::path& path)
    : path_(path.string()), mapped_(path) {
  const Bytes in(mapped_.bytes(), path_);
  const Directory directory = FindDirectory(in);
  if (directory.count > kMostEntries) in.Fail("has too many entries");
  uint64_t at = directory.at;
  for (uint64_t i = 0; i < directory.count; ++i) {
    in.Part(at, kEntryBytes);
    if (in.Number<uint32_t>(at) != kEntryMagic) in.Fail("is damaged");
    const auto method = in.Number<uint16_t>(at + 10);
    const auto name_bytes = in.Number<uint16_t>(at + 28);
    const auto extra_bytes = in.Number<uint16_t>(at + 30);
    const auto comment_bytes = in.Number<uint16_t>(at + 32);
    const auto stored = in.Number<uint32_t>(at + 20);
    Entry entry;
    entry.size = in.Number<uint32_t>(at + 24);
    entry.at = in.Number<uint32_t>(at + 42);
    const auto name = in.Part(at + kEntryBytes, name_bytes);
    entry.name.assign(reinterpret_cast<const char*>(name.data()), name.size());
    in.Part(at + kEntryBytes + name_bytes, extra_bytes);
    Extend(in, at + kEntryBytes + name_bytes, extra_bytes, stored == kIn64,
           entry);
    if (method != 0) in.Fail("entry '" + entry.name + "' is compressed");
    in.Part(entry.at, kLocalBytes);
    if (in.Number<uint32_t>(entry.at) != kLocalMagic) in.Fail("is damaged");
    const uint64_t data = entry.at + kLocalBytes +
                          in.Number<uint16_t>(entry.at + 26) +
                          in.Number<uint16_t>(entry.at + 28);
    if (!entries_.emplace(entry.name, in.Part(data, entry.size)).second) {
      in.Fail("has the entry '" + entry.name + "' twice");
    }
    at += kEntryBytes + name_bytes + extra_bytes + comment_bytes;
  }
}

}  // namespace lutra::packer
