#include "runtime/chat/call.h"

#include <algorithm>

#include "runtime/base/printable.h"

namespace lutra::chat {

Bound::Bound(const CallArguments& arguments, std::string_view function,
             std::initializer_list<std::string_view> names, size_t required)
    : values_(names.size()), function_(function) {
  if (arguments.positional.size() > names.size()) {
    FailRun(function_ + "() takes at most " + std::to_string(names.size()) +
            " arguments (" + std::to_string(arguments.positional.size()) +
            " given)");
  }
  for (size_t i = 0; i < arguments.positional.size(); ++i) {
    values_[i] = &arguments.positional[i];
  }
  for (const auto& [key, value] : arguments.keywords) {
    const auto* const name = std::find(names.begin(), names.end(), key);
    if (name == names.end() || key.empty()) {
      FailRun(function_ + "() got an unexpected keyword argument '" +
              Printable(key) + "'");
    }
    const Value*& place = values_[static_cast<size_t>(name - names.begin())];
    if (place != nullptr) {
      FailRun(function_ + "() got multiple values for argument '" +
              Printable(key) + "'");
    }
    place = &value;
  }
  for (size_t i = 0; i < required; ++i) {
    if (values_[i] == nullptr) {
      FailRun(function_ + "() missing a required argument");
    }
  }
}

Int Bound::Integer(size_t index, Int otherwise) const {
  if (values_[index] == nullptr) return otherwise;
  const Value& value = *values_[index];
  if (!value.IsInteger()) {
    RequireDefined(value);
    FailRun(function_ + "(): '" + TypeName(value) +
            "' object cannot be interpreted as an integer");
  }
  return value.integer();
}

const std::string& Bound::String(size_t index) const {
  const Value& value = *values_[index];
  if (!value.IsString()) {
    RequireDefined(value);
    FailRun(function_ + "() argument must be str, not " + TypeName(value));
  }
  return value.text();
}

}  // namespace lutra::chat
