#include <algorithm>
#include <iterator>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <string>
#include <utility>
#include <vector>

#include "lutra/runtime/error.h"
#include "lutra/runtime/operator.h"
#include "runtime/ops/operators.h"

namespace lutra {
namespace {

// In the order of OpType.
constexpr const Operator& (*kDefinitions[])() = {
#define LUTRA_OPERATOR_DEFINITION(name) name##Operator,
    LUTRA_OPERATORS(LUTRA_OPERATOR_DEFINITION)
#undef LUTRA_OPERATOR_DEFINITION
};
constexpr size_t kOwn = std::size(kDefinitions);

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
      throw Error("operator '" + name + "' is registered already");
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
  if (index < kOwn) return kDefinitions[index]();
  const Operator* definition = Apps().Get(index - kOwn);
  if (definition == nullptr) {
    throw Error("there is no operator number " + std::to_string(index));
  }
  return *definition;
}

std::optional<OpType> FindOperator(std::string_view name) {
  for (size_t i = 0; i < kOwn; ++i) {
    if (kDefinitions[i]().schema().name == name) return TypeOf(i);
  }
  return Apps().FindType(name);
}

std::vector<OpType> AllOperators() {
  std::vector<OpType> all;
  const size_t count = kOwn + Apps().size();
  for (size_t i = 0; i < count; ++i) all.push_back(TypeOf(i));
  return all;
}

OpType RegisterOperator(std::unique_ptr<const Operator> definition) {
  if (definition == nullptr) throw Error("no operator given");
  const std::string& name = definition->schema().name;
  if (!IsAppName(name)) {
    throw Error("operator '" + name +
                "': the name of an app's operator is two words with a point "
                "between, like 'acme.swish'");
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
