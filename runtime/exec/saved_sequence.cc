#include "runtime/exec/saved_sequence.h"

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include "kernels/base/checked_math.h"
#include "kernels/base/word_hash.h"
#include "lutra/runtime/error.h"
#include "runtime/base/text_of.h"

namespace lutra {
namespace {

static_assert(std::endian::native == std::endian::little);

constexpr uint64_t kMagic = 0x7165736172'74756cULL;  // "lutraseq"
constexpr uint32_t kVersion = 2;

// What is in front of the pages and the state.
struct Header {
  uint64_t magic = kMagic;
  uint32_t version = kVersion;
  uint32_t cache = 0;  // kernels::CacheType
  uint64_t model = 0;  // Fingerprint
  uint64_t position = 0;
  uint64_t page_bytes = 0;
  uint64_t state_bytes = 0;
  uint64_t checksum = 0;  // of what follows the header
  uint64_t reserved = 0;

  bool operator==(const Header&) const = default;
};
static_assert(sizeof(Header) == 64);

// Tells models apart without reading all weights: the graph, and of each tensor
// its name, type, shape and first bytes, which of packed ones hold a checksum.
uint64_t Fingerprint(const Model& model) {
  constexpr size_t kBytes = 64;
  WordHash hash;
  const auto add = [&hash](std::string_view text) {
    hash.AddBytes(text.data(), text.size());
  };
  add(GraphToJson(model.graph()));
  for (const TensorView& tensor : model.file().tensors()) {
    add(tensor.name);
    add(Name(tensor.dtype));
    add(ShapeToString(tensor.shape));
    hash.AddBytes(tensor.data.data(), std::min(kBytes, tensor.data.size()));
  }
  return hash.value();
}

Header HeaderOf(const StateLayout& layout, size_t position) {
  return {.cache = static_cast<uint32_t>(layout.cache),
          .model = Fingerprint(*layout.model),
          .position = position,
          .page_bytes = layout.page_bytes,
          .state_bytes = layout.state_bytes};
}

[[noreturn]] void Fail(const StateLayout& layout, const std::string& cause,
                       ErrorCode code = ErrorCode::kDamaged) {
  throw Error::InFile(layout.model->path(), TextOf("saved sequence: ", cause),
                      code);
}

// The header, which fits the layout.
Header ReadHeader(const StateLayout& layout, Span<const std::byte> saved) {
  Header header;
  if (saved.size() < sizeof(Header)) {
    Fail(layout, TextOf("its ", saved.size(), " bytes are less than a header"));
  }
  std::memcpy(&header, saved.data(), sizeof(Header));
  if (header.magic != kMagic) Fail(layout, "is not one (other magic number)");
  if (header.version != kVersion) {
    Fail(
        layout,
        TextOf("has version ", header.version, ", this build reads ", kVersion),
        ErrorCode::kUnsupported);
  }
  const Header expected =
      HeaderOf(layout, static_cast<size_t>(header.position));
  if (header.cache != expected.cache) {
    Fail(layout, "has a cache of another type than the program",
         ErrorCode::kInvalidArgument);
  }
  if (header.model != expected.model)
    Fail(layout, "is of another model", ErrorCode::kInvalidArgument);
  Header rest = header;
  rest.checksum = 0;
  if (rest != expected || header.position > SIZE_MAX) {
    Fail(layout, "has a damaged header");
  }
  if (layout.context != 0 && header.position > layout.context) {
    Fail(layout,
         TextOf("has ", header.position, " tokens, more than the context of ",
                layout.context),
         ErrorCode::kContextFull);
  }
  return header;
}

}  // namespace

std::vector<std::byte> SaveSequence(const SequenceState& state) {
  const StateLayout& layout = state.layout();
  const size_t pages = layout.PageCount(state.position());
  const size_t state_bytes = state.position() == 0 ? 0 : layout.state_bytes;
  std::vector<std::byte> saved(sizeof(Header) + pages * layout.page_bytes +
                               state_bytes);
  std::byte* at = saved.data() + sizeof(Header);
  for (size_t i = 0; i < pages; ++i, at += layout.page_bytes) {
    std::memcpy(at, state.Page(i).data(), layout.page_bytes);
  }
  if (state_bytes != 0) {
    std::memcpy(at, state.CurrentState().data(), state_bytes);
  }
  WordHash hash;
  hash.AddBytes(saved.data() + sizeof(Header), saved.size() - sizeof(Header));
  Header header = HeaderOf(layout, state.position());
  header.checksum = hash.value();
  std::memcpy(saved.data(), &header, sizeof(Header));
  return saved;
}

std::unique_ptr<SequenceState> RestoreSequence(
    std::shared_ptr<const StateLayout> shared, Span<const std::byte> saved) {
  const StateLayout& layout = *shared;
  const Header header = ReadHeader(layout, saved);
  const auto position = static_cast<size_t>(header.position);
  const size_t pages = layout.PageCount(position);
  const size_t state_bytes = position == 0 ? 0 : layout.state_bytes;
  Span<const std::byte> rest = saved.subspan(sizeof(Header));
  const auto page_bytes = CheckedMultiply(pages, layout.page_bytes);
  const auto expected =
      page_bytes ? CheckedAdd(*page_bytes, state_bytes) : std::nullopt;
  if (!expected || rest.size() != *expected) {
    Fail(layout, TextOf("has ", saved.size(), " bytes, which do not fit its ",
                        position, " tokens"));
  }
  WordHash hash;
  hash.AddBytes(rest.data(), rest.size());
  if (hash.value() != header.checksum) {
    Fail(layout, "its checksum does not match: the bytes are damaged");
  }
  auto state = std::make_unique<SequenceState>(std::move(shared));
  state->Reserve(position);
  for (size_t i = 0; i < pages; ++i) {
    std::memcpy(state->Page(i).data(), rest.data() + i * layout.page_bytes,
                layout.page_bytes);
  }
  if (state_bytes != 0) {
    std::memcpy(state->CurrentState().data(), rest.data() + *page_bytes,
                state_bytes);
  }
  state->SetPosition(position);
  return state;
}

}  // namespace lutra
