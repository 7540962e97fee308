#include <algorithm>
#include <array>
#include <iterator>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "lutra/runtime/error.h"
#include "lutra/runtime/operator.h"
#include "runtime/base/text_of.h"
#include "runtime/ops/operators.h"

namespace lutra {
namespace {

// Those of this build, like LUTRA_OPERATORS(NAME): the option LUTRA_OPERATORS
// of CMake chooses.
#ifndef LUTRA_BUILT_OPERATORS
#define LUTRA_BUILT_OPERATORS LUTRA_OPERATORS
#endif

// lutra's operators, in the order of OpType.
constexpr std::string_view kOwnNames[] = {
#define LUTRA_OPERATOR_NAME(name) #name,
    LUTRA_OPERATORS(LUTRA_OPERATOR_NAME)
#undef LUTRA_OPERATOR_NAME
};
constexpr size_t kOwn = std::size(kOwnNames);

// nullptr: not in this build.
using Definition = const Operator& (*)();
constexpr std::array<Definition, kOwn> kDefinitions = [] {
  std::array<Definition, kOwn> definitions = {};
#define LUTRA_OPERATOR_DEFINITION(name) \
  definitions[static_cast<size_t>(OpType::k##name)] = name##Operator;
  LUTRA_BUILT_OPERATORS(LUTRA_OPERATOR_DEFINITION)
#undef LUTRA_OPERATOR_DEFINITION
  return definitions;
}();

// The name in graphs: gelu_tanh of GeluTanh.
std::string GraphName(size_t index) {
  std::string name;
  for (const char c : kOwnNames[index]) {
    const bool is_capital = c >= 'A' && c <= 'Z';
    if (is_capital && !name.empty()) name += '_';
    name += static_cast<char>(is_capital ? c - 'A' + 'a' : c);
  }
  return name;
}

OpType TypeOf(size_t index) { return static_cast<OpType>(index); }

// Letters, digits and underscores.
bool IsWord(std::string_view text) {
  constexpr std::string_view kLetters =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_";
  return !text.empty() &&
         text.find_first_not_of(kLetters) == std::string_view::npos;
}

bool IsAppName(std::string_view name) {
  const size_t point = name.find('.');
  return point != std::string_view::npos && IsWord(name.substr(0, point)) &&
         IsWord(name.substr(point + 1));
}

// Operators of apps; never removed, so that references stay valid.
class AppOperators {
 public:
  OpType Add(std::unique_ptr<const Operator> definition) {
    const std::unique_lock<std::shared_mutex> lock(mutex_);
    const std::string& name = definition->schema().name;
    if (Find(name) != definitions_.size()) {
      throw Error(TextOf("operator '", name, "' is registered already"));
    }
    definitions_.push_back(std::move(definition));
    return TypeOf(kOwn + definitions_.size() - 1);
  }

  std::optional<OpType> FindType(std::string_view name) const {
    const std::shared_lock<std::shared_mutex> lock(mutex_);
    const size_t index = Find(name);
    if (index == definitions_.size()) return std::nullopt;
    return TypeOf(kOwn + index);
  }

  // nullptr past the end.
  const Operator* Get(size_t index) const {
    const std::shared_lock<std::shared_mutex> lock(mutex_);
    return index < definitions_.size() ? definitions_[index].get() : nullptr;
  }

  size_t size() const {
    const std::shared_lock<std::shared_mutex> lock(mutex_);
    return definitions_.size();
  }

 private:
  size_t Find(std::string_view name) const {
    const auto found = std::find_if(definitions_.begin(), definitions_.end(),
                                    [&](const auto& definition) {
                                      return definition->schema().name == name;
                                    });
    return static_cast<size_t>(found - definitions_.begin());
  }

  mutable std::shared_mutex mutex_;
  std::vector<std::unique_ptr<const Operator>> definitions_;
};

AppOperators& Apps() {
  static AppOperators operators;
  return operators;
}

}  // namespace

const Operator& GetOperator(OpType op) {
  const auto index = static_cast<size_t>(op);
  if (index < kOwn) {
    if (kDefinitions[index] != nullptr) return kDefinitions[index]();
    throw Error(ErrorCode::kUnsupported,
                TextOf("operator ", GraphName(index),
                       " is not in this build (LUTRA_OPERATORS)"));
  }
  const Operator* definition = Apps().Get(index - kOwn);
  if (definition == nullptr) {
    throw Error(TextOf("there is no operator number ", index));
  }
  return *definition;
}

std::optional<OpType> FindOperator(std::string_view name) {
  for (size_t i = 0; i < kOwn; ++i) {
    const Definition definition = kDefinitions[i];
    if (definition == nullptr ? GraphName(i) == name
                              : definition().schema().name == name) {
      return TypeOf(i);
    }
  }
  return Apps().FindType(name);
}

std::vector<OpType> AllOperators() {
  std::vector<OpType> all;
  for (size_t i = 0; i < kOwn; ++i) {
    if (kDefinitions[i] != nullptr) all.push_back(TypeOf(i));
  }
  const size_t apps = Apps().size();
  for (size_t i = 0; i < apps; ++i) all.push_back(TypeOf(kOwn + i));
  return all;
}

OpType RegisterOperator(std::unique_ptr<const Operator> definition) {
  if (definition == nullptr) throw Error("no operator given");
  const std::string& name = definition->schema().name;
  if (!IsAppName(name)) {
    throw Error(
        TextOf("operator '", name,
               "': the name of an app's operator is two words with a point "
               "between, like 'acme.swish'"));
  }
  return Apps().Add(std::move(definition));
}

std::string_view Name(OpType op) { return GetOperator(op).schema().name; }

size_t InputCount(OpType op) { return GetOperator(op).schema().inputs; }

bool HasWeight(OpType op) {
  return GetOperator(op).schema().weight != TensorUse::kNone;
}

bool IsPackable(OpType op) { return GetOperator(op).schema().packable; }

bool IsStateful(OpType op) {
  return GetOperator(op).schema().context == RowContext::kState;
}

}  // namespace lutra
