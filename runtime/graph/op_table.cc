#include "runtime/graph/op_table.h"

#include <algorithm>
#include <cmath>
#include <iterator>

#include "lutra/runtime/error.h"

namespace lutra {
namespace {

using enum AttributeKind;

// Far above any network, and small enough that products of three fit 64 bits.
constexpr double kMaxCount = 1 << 20;
constexpr size_t kMaxListLength = 8;

constexpr AttributeRow kNormAttributes[] = {
    {.name = "eps", .kind = kNumber, .low = 0, .high = 1}};

constexpr AttributeRow kRopeAttributes[] = {
    {.name = "head_dim", .kind = kCount, .low = 1, .high = kMaxCount},
    {.name = "pairing", .kind = kWord, .words = "half adjacent"}};

constexpr AttributeRow kAttentionAttributes[] = {
    {.name = "heads", .kind = kCount, .low = 1, .high = kMaxCount},
    {.name = "kv_heads", .kind = kCount, .low = 1, .high = kMaxCount},
    // 0 stands for 1 / sqrt(head_dim).
    {.name = "scale", .kind = kNumber, .required = false, .high = 1e6},
    {.name = "window", .kind = kCount, .required = false, .high = 1u << 31}};

constexpr AttributeRow kKernel = {
    .name = "kernel", .kind = kList, .low = 1, .high = kMaxCount, .length = 2};
constexpr AttributeRow kStride = {.name = "stride",
                                  .kind = kList,
                                  .required = false,
                                  .low = 1,
                                  .high = kMaxCount,
                                  .otherwise = 1,
                                  .length = 2};
constexpr AttributeRow kPadding = {.name = "padding",
                                   .kind = kList,
                                   .required = false,
                                   .high = kMaxCount,
                                   .length = 4};
constexpr AttributeRow kDilation = {.name = "dilation",
                                    .kind = kList,
                                    .required = false,
                                    .low = 1,
                                    .high = kMaxCount,
                                    .otherwise = 1,
                                    .length = 2};
constexpr AttributeRow kConvAttributes[] = {kKernel, kStride, kPadding,
                                            kDilation};
constexpr AttributeRow kPoolAttributes[] = {kKernel, kStride, kPadding};

constexpr AttributeRow kReshapeAttributes[] = {
    {.name = "shape", .kind = kList, .low = 1, .high = 1u << 31}};

constexpr AttributeRow kLstmAttributes[] = {{.name = "gates", .kind = kGates}};

constexpr Use kNo = Use::kNone;
constexpr Use kMay = Use::kOptional;
constexpr Use kMust = Use::kRequired;

constexpr OpRow kOps[] = {
    // operator, name, inputs, weight, bias, packable, stateful, attributes
    {OpType::kLinear, "linear", 1, kMust, kMay, true, false},
    {OpType::kEmbedding, "embedding", 1, kMust, kNo, true, false},
    {OpType::kRelu, "relu", 1, kNo, kNo, false, false},
    {OpType::kGelu, "gelu", 1, kNo, kNo, false, false},
    {OpType::kSilu, "silu", 1, kNo, kNo, false, false},
    {OpType::kAdd, "add", 2, kNo, kNo, false, false},
    {OpType::kMul, "mul", 2, kNo, kNo, false, false},
    {OpType::kSoftmax, "softmax", 1, kNo, kNo, false, false},
    {OpType::kSigmoid, "sigmoid", 1, kNo, kNo, false, false},
    {OpType::kTanh, "tanh", 1, kNo, kNo, false, false},
    {OpType::kRmsNorm, "rms_norm", 1, kMust, kNo, false, false,
     kNormAttributes},
    {OpType::kLayerNorm, "layer_norm", 1, kMust, kMay, false, false,
     kNormAttributes},
    {OpType::kRope, "rope", 1, kMust, kNo, false, false, kRopeAttributes},
    {OpType::kAttention, "attention", 3, kNo, kNo, false, true,
     kAttentionAttributes},
    {OpType::kConv2d, "conv2d", 1, kMust, kMay, true, false, kConvAttributes},
    {OpType::kDepthwiseConv2d, "depthwise_conv2d", 1, kMust, kMay, false, false,
     kConvAttributes},
    {OpType::kAvgPool2d, "avg_pool2d", 1, kNo, kNo, false, false,
     kPoolAttributes},
    {OpType::kMaxPool2d, "max_pool2d", 1, kNo, kNo, false, false,
     kPoolAttributes},
    {OpType::kReshape, "reshape", 1, kNo, kNo, false, false,
     kReshapeAttributes},
    {OpType::kLstmCell, "lstm_cell", 1, kMust, kNo, true, true,
     kLstmAttributes},
};

std::string Number(double value) {
  std::string text = std::to_string(value);
  text.erase(text.find_last_not_of('0') + 1);
  if (text.back() == '.') text.pop_back();
  return text;
}

std::string Expected(const AttributeRow& row) {
  const std::string range =
      std::string(" from ") + Number(row.low) + " to " + Number(row.high);
  switch (row.kind) {
    case kNumber:
      return "must be a number" + range;
    case kCount:
      return "must be a whole number" + range;
    case kWord:
      return "must be one of: " + std::string(row.words);
    case kGates:
      return "must be the letters of 'ifgo' in some order";
    case kList:
      break;
  }
  const std::string count =
      row.length == 0 ? std::string("1 to ") + std::to_string(kMaxListLength)
                      : std::to_string(row.length);
  return "must be a list of " + count + " whole numbers" + range;
}

bool InRange(const AttributeRow& row, double value) {
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

bool IsGateOrder(std::string word) {
  std::replace(word.begin(), word.end(), 'c', 'g');
  std::sort(word.begin(), word.end());
  return word == "fgio";
}

bool IsValid(const AttributeRow& row, const Attribute& value) {
  switch (row.kind) {
    case kNumber:
    case kCount: {
      const auto* number = std::get_if<double>(&value);
      return number != nullptr && InRange(row, *number) &&
             (row.kind == kNumber || *number == std::floor(*number));
    }
    case kWord:
    case kGates: {
      const auto* word = std::get_if<std::string>(&value);
      return word != nullptr && (row.kind == kWord ? IsListed(row.words, *word)
                                                   : IsGateOrder(*word));
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

const AttributeRow& GetAttribute(const Node& node, std::string_view name) {
  const AttributeRow* row = FindAttribute(FindOp(node.op), name);
  if (row == nullptr) {
    throw Error("graph: " + std::string(Name(node.op)) + " has no attribute '" +
                std::string(name) + "'");
  }
  return *row;
}

// The value if it is given and of the right kind; else nullptr, where the
// attribute may be left out.
template <typename T>
const T* Given(const Node& node, std::string_view name) {
  const AttributeRow& row = GetAttribute(node, name);
  const auto found = node.attributes.find(name);
  if (found == node.attributes.end()) {
    if (!row.required) return nullptr;
  } else if (const T* value = std::get_if<T>(&found->second)) {
    return value;
  }
  throw Error("graph: " + std::string(Name(node.op)) + " node '" + node.output +
              "': attribute '" + std::string(name) + "' " + Expected(row));
}

}  // namespace

const OpRow& FindOp(OpType op) {
  return *std::find_if(std::begin(kOps), std::end(kOps),
                       [op](const OpRow& row) { return row.op == op; });
}

const OpRow* FindOp(std::string_view name) {
  const auto* row =
      std::find_if(std::begin(kOps), std::end(kOps),
                   [name](const OpRow& r) { return r.name == name; });
  return row == std::end(kOps) ? nullptr : row;
}

const AttributeRow* FindAttribute(const OpRow& op, std::string_view name) {
  for (const AttributeRow& row : op.attributes) {
    if (row.name == name) return &row;
  }
  return nullptr;
}

std::string CheckAttribute(const AttributeRow& row, const Attribute& value) {
  return IsValid(row, value) ? std::string() : Expected(row);
}

std::string_view Name(OpType op) { return FindOp(op).name; }

size_t InputCount(OpType op) { return FindOp(op).inputs; }

bool HasWeight(OpType op) { return FindOp(op).weight != Use::kNone; }

bool IsPackable(OpType op) { return FindOp(op).packable; }

bool IsStateful(OpType op) { return FindOp(op).stateful; }

double NumberAttribute(const Node& node, std::string_view name) {
  const auto* value = Given<double>(node, name);
  return value != nullptr ? *value : GetAttribute(node, name).otherwise;
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
  const AttributeRow& row = GetAttribute(node, name);
  return std::vector<int64_t>(row.length, static_cast<int64_t>(row.otherwise));
}

}  // namespace lutra
