#ifndef LUTRA_RUNTIME_GRAPH_OP_TABLE_H_
#define LUTRA_RUNTIME_GRAPH_OP_TABLE_H_

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "lutra/runtime/graph.h"

// What the reader of graphs knows of each operator: how many inputs it has,
// which tensors and which attributes.

namespace lutra {

enum class Use { kNone, kOptional, kRequired };

enum class AttributeKind {
  kNumber,  // a number
  kCount,   // a whole number
  kWord,    // one of the words in `words`, separated by spaces
  kGates,   // the letters i, f, g (or c) and o in any order
  kList,    // `length` whole numbers; 0 is any number of them up to 8
};

struct AttributeRow {
  std::string_view name;
  AttributeKind kind = AttributeKind::kNumber;
  bool required = true;
  // Of numbers and of each element of a list.
  double low = 0;
  double high = 0;
  double otherwise = 0;  // the value, or each element, if it is not given
  size_t length = 0;
  std::string_view words = {};
};

struct OpRow {
  OpType op;
  std::string_view name;
  size_t inputs;
  Use weight;
  Use bias;
  bool packable;
  bool stateful;
  std::span<const AttributeRow> attributes = {};
};

const OpRow& FindOp(OpType op);
// nullptr for names this build does not know.
const OpRow* FindOp(std::string_view name);

// nullptr if the operator has no such attribute.
const AttributeRow* FindAttribute(const OpRow& op, std::string_view name);

// What is wrong with the value, or "".
std::string CheckAttribute(const AttributeRow& row, const Attribute& value);

}  // namespace lutra

#endif  // LUTRA_RUNTIME_GRAPH_OP_TABLE_H_
