#ifndef LUTRA_RUNTIME_EMBEDDING_ALIASES_H_
#define LUTRA_RUNTIME_EMBEDDING_ALIASES_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "lutra/runtime/graph.h"

namespace lutra {

// Ids of an embedding node that other rows stand for: pairs of an id and its
// row, from the attribute `aliases`. Placeholders of images in a text model are
// such ids.
std::vector<int64_t> EmbeddingAliases(const Node& node);

// The row of an id.
inline int64_t AliasedId(const std::vector<int64_t>& aliases, int64_t id) {
  for (size_t i = 0; i + 1 < aliases.size(); i += 2) {
    if (aliases[i] == id) return aliases[i + 1];
  }
  return id;
}

}  // namespace lutra

#endif  // LUTRA_RUNTIME_EMBEDDING_ALIASES_H_
