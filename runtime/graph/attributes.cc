#include "runtime/graph/attributes.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "lutra/runtime/error.h"
#include "runtime/base/text_of.h"

namespace lutra {
namespace {

using enum AttributeKind;

constexpr size_t kMaxListLength = 8;

std::string Number(double value) {
  std::string text = std::to_string(value);
  text.erase(text.find_last_not_of('0') + 1);
  if (text.back() == '.') text.pop_back();
  return text;
}

std::string Expected(const AttributeSchema& row) {
  const std::string range =
      TextOf(" from ", Number(row.low), " to ", Number(row.high));
  switch (row.kind) {
    case kNumber:
      return TextOf("must be a number", range);
    case kCount:
      return TextOf("must be a whole number", range);
    case kWord:
      return TextOf("must be one of: ", row.words);
    case kText:
      return TextOf("must be ", row.words);
    case kList:
      break;
  }
  const std::string count = row.length == 0 ? TextOf("1 to ", kMaxListLength)
                                            : std::to_string(row.length);
  return TextOf("must be a list of ", count, " whole numbers", range);
}

bool InRange(const AttributeSchema& row, double value) {
  // False also for NaN.
  return value >= row.low && value <= row.high;
}

bool IsListed(std::string_view words, std::string_view word) {
  while (!words.empty()) {
    const size_t end = std::min(words.find(' '), words.size());
    if (words.substr(0, end) == word) return true;
    words.remove_prefix(std::min(end + 1, words.size()));
  }
  return false;
}

bool IsValid(const AttributeSchema& row, const Attribute& value) {
  switch (row.kind) {
    case kNumber:
    case kCount: {
      const auto* number = std::get_if<double>(&value);
      return number != nullptr && InRange(row, *number) &&
             (row.kind == kNumber || *number == std::floor(*number));
    }
    case kWord:
    case kText: {
      const auto* word = std::get_if<std::string>(&value);
      return word != nullptr && (row.kind == kWord ? IsListed(row.words, *word)
                                                   : row.accepts(*word));
    }
    case kList:
      break;
  }
  const auto* list = std::get_if<std::vector<int64_t>>(&value);
  return list != nullptr && !list->empty() &&
         (row.length == 0 ? list->size() <= kMaxListLength
                          : list->size() == row.length) &&
         std::all_of(list->begin(), list->end(), [&](int64_t element) {
           return InRange(row, static_cast<double>(element));
         });
}

const AttributeSchema& SchemaOf(const Node& node, std::string_view name) {
  const AttributeSchema* row =
      FindAttribute(GetOperator(node.op).schema(), name);
  if (row == nullptr) {
    throw Error(
        TextOf("graph: ", Name(node.op), " has no attribute '", name, "'"));
  }
  return *row;
}

// The value if it is given and of the right kind; else nullptr, where the
// attribute may be left out.
template <typename T>
const T* Given(const Node& node, std::string_view name) {
  const AttributeSchema& row = SchemaOf(node, name);
  const auto found = node.attributes.find(name);
  if (found == node.attributes.end()) {
    if (!row.required) return nullptr;
  } else if (const T* value = std::get_if<T>(&found->second)) {
    return value;
  }
  throw Error(TextOf("graph: ", Name(node.op), " node '", node.output,
                     "': attribute '", name, "' ", Expected(row)));
}

}  // namespace

const AttributeSchema* FindAttribute(const OperatorSchema& op,
                                     std::string_view name) {
  for (const AttributeSchema& row : op.attributes) {
    if (row.name == name) return &row;
  }
  return nullptr;
}

std::string CheckAttribute(const AttributeSchema& row, const Attribute& value) {
  return IsValid(row, value) ? std::string() : Expected(row);
}

double NumberAttribute(const Node& node, std::string_view name) {
  const auto* value = Given<double>(node, name);
  return value != nullptr ? *value : SchemaOf(node, name).otherwise;
}

size_t CountAttribute(const Node& node, std::string_view name) {
  return static_cast<size_t>(NumberAttribute(node, name));
}

std::string WordAttribute(const Node& node, std::string_view name) {
  const auto* value = Given<std::string>(node, name);
  return value != nullptr ? *value : std::string();
}

std::vector<int64_t> ListAttribute(const Node& node, std::string_view name) {
  const auto* value = Given<std::vector<int64_t>>(node, name);
  if (value != nullptr) return *value;
  const AttributeSchema& row = SchemaOf(node, name);
  return std::vector<int64_t>(row.length, static_cast<int64_t>(row.otherwise));
}

}  // namespace lutra
