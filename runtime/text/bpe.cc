#include "runtime/text/bpe.h"

#include <algorithm>
#include <iterator>

#include "runtime/base/utf8.h"

namespace lutra {

BytePairEncoder::BytePairEncoder(const TokenizerData& data) : data_(data) {
  row_ends_.resize(data.size());
  for (const Merge& merge : data.merges) ++row_ends_[merge.left];
  uint32_t end = 0;
  for (uint32_t& row : row_ends_) row = end += row;
  for (size_t byte = 0; byte < 256; ++byte) {
    const char c = static_cast<char>(static_cast<uint8_t>(byte));
    one_byte_[byte] = data.Find({&c, 1});
  }
  fallback_.fill(-1);
  for (size_t id = 0; id < data.size(); ++id) {
    if (data.types[id] != PieceType::kByte) continue;
    fallback_[static_cast<uint8_t>(data.Piece(id).front())] =
        static_cast<int64_t>(id);
  }
}

namespace {

// Words of a text come again and again. Short texts are not worth the memory.
constexpr size_t kKnownParts = size_t{1} << 13;
constexpr size_t kShortText = 4096;

size_t PlaceOf(std::string_view part) {
  uint64_t hash = 0xCBF29CE484222325u;
  for (const char c : part) {
    hash = (hash ^ static_cast<uint8_t>(c)) * 0x100000001B3u;
  }
  return static_cast<size_t>(hash ^ hash >> 32) % kKnownParts;
}

}  // namespace

BytePairEncoder::Workspace::Workspace(size_t text_bytes)
    : known(text_bytes > kShortText ? kKnownParts : 0) {}

void BytePairEncoder::Encode(std::string_view part, Workspace& workspace,
                             std::vector<int32_t>& ids) const {
  if (workspace.known.empty() || part.empty() ||
      part.size() > std::size(Workspace::Known().part)) {
    return EncodeAnew(part, workspace, ids);
  }
  Workspace::Known& known = workspace.known[PlaceOf(part)];
  if (std::string_view(known.part.data(), known.bytes) == part) {
    ids.insert(ids.end(), known.ids.begin(), known.ids.begin() + known.count);
    return;
  }
  const size_t before = ids.size();
  EncodeAnew(part, workspace, ids);
  const size_t count = ids.size() - before;
  if (count > known.ids.size()) return;
  known.bytes = static_cast<uint8_t>(part.size());
  known.count = static_cast<uint8_t>(count);
  std::copy(part.begin(), part.end(), known.part.begin());
  std::copy(ids.end() - static_cast<std::ptrdiff_t>(count), ids.end(),
            known.ids.begin());
}

void BytePairEncoder::EncodeAnew(std::string_view part, Workspace& workspace,
                                 std::vector<int32_t>& ids) const {
  if (data_.recipe.whole_pieces) {
    if (const int64_t id = data_.Find(part); id >= 0) {
      ids.push_back(static_cast<int32_t>(id));
      return;
    }
  }
  workspace.symbols.clear();
  AddSymbols(part, workspace.symbols);
  MergeAll(workspace);
  for (const Symbol& symbol : workspace.symbols) {
    if (symbol.alive) ids.push_back(static_cast<int32_t>(symbol.id));
  }
}

void BytePairEncoder::AddSymbols(std::string_view part,
                                 std::vector<Symbol>& symbols) const {
  const TokenizerRecipe& recipe = data_.recipe;
  const auto add = [&symbols](int64_t id) {
    Symbol symbol;
    symbol.id = static_cast<uint32_t>(id);
    symbols.push_back(symbol);
  };
  const auto byte_at = [](std::string_view text, size_t i) {
    return static_cast<uint8_t>(text[i]);
  };
  bool last_unknown = false;
  while (!part.empty()) {
    const size_t bytes = recipe.bytes ? 1 : ReadUtf8(part).bytes;
    const std::string_view unit = part.substr(0, bytes);
    part.remove_prefix(bytes);
    const int64_t id =
        bytes == 1 ? one_byte_[byte_at(unit, 0)] : data_.Find(unit);
    if (id >= 0) {
      add(id);
      last_unknown = false;
      continue;
    }
    const auto has_piece = [&](char c) {
      return fallback_[static_cast<uint8_t>(c)] >= 0;
    };
    if (recipe.byte_fallback &&
        std::all_of(unit.begin(), unit.end(), has_piece)) {
      for (size_t i = 0; i < bytes; ++i) add(fallback_[byte_at(unit, i)]);
      last_unknown = false;
    } else if (recipe.unknown >= 0) {
      if (!(last_unknown && recipe.fuse_unknown)) add(recipe.unknown);
      last_unknown = true;
    }
  }
}

void BytePairEncoder::MergeAll(Workspace& workspace) const {
  std::vector<Symbol>& symbols = workspace.symbols;
  std::priority_queue<Candidate>& queue = workspace.queue;
  const auto at = [&symbols](int32_t i) -> Symbol& {
    return symbols[static_cast<size_t>(i)];
  };
  const auto propose = [&](int32_t left) {
    if (left < 0 || at(left).next < 0) return;
    const Merge* merge = Find(at(left).id, at(at(left).next).id);
    if (merge != nullptr) queue.push({merge->rank, left, merge->result});
  };
  const auto count = static_cast<int32_t>(symbols.size());
  for (int32_t i = 0; i < count; ++i) {
    at(i).previous = i - 1;
    at(i).next = i + 1 < count ? i + 1 : -1;
  }
  for (int32_t i = 0; i < count; ++i) propose(i);
  while (!queue.empty()) {
    const Candidate best = queue.top();
    queue.pop();
    Symbol& left = at(best.left);
    if (!left.alive || left.next < 0) continue;
    Symbol& right = at(left.next);
    // One of the two may have become another piece since.
    const Merge* merge = Find(left.id, right.id);
    if (merge == nullptr || merge->result != best.result) continue;
    left.id = best.result;
    right.alive = false;
    left.next = right.next;
    if (left.next >= 0) at(left.next).previous = best.left;
    propose(best.left);
    propose(left.previous);
  }
}

const Merge* BytePairEncoder::Find(uint32_t left, uint32_t right) const {
  const auto begin =
      data_.merges.begin() +
      (left == 0 ? 0 : static_cast<ptrdiff_t>(row_ends_[left - 1]));
  const auto end =
      data_.merges.begin() + static_cast<ptrdiff_t>(row_ends_[left]);
  const auto found =
      std::lower_bound(begin, end, right,
                       [](const Merge& m, uint32_t r) { return m.right < r; });
  return found != end && found->right == right ? &*found : nullptr;
}

}  // namespace lutra
