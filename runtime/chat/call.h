#ifndef LUTRA_RUNTIME_CHAT_CALL_H_
#define LUTRA_RUNTIME_CHAT_CALL_H_

#include <cstddef>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "runtime/chat/format.h"
#include "runtime/chat/value.h"

namespace lutra::chat {

struct CallArguments {
  Values positional;
  Keywords keywords;

  const Value* Find(std::string_view name) const {
    for (const auto& [key, value] : keywords) {
      if (key == name) return &value;
    }
    return nullptr;
  }
};

// The arguments of a call by the places of the parameters.
class Bound {
 public:
  // Throws as Python does: the first `required` parameters must be given.
  Bound(const CallArguments& arguments, std::string_view function,
        std::initializer_list<std::string_view> names, size_t required = 0);

  // nullptr if it was not given.
  const Value* Find(size_t index) const { return values_[index]; }
  const Value& operator[](size_t index) const { return *values_[index]; }
  bool Given(size_t index) const {
    return values_[index] != nullptr && !values_[index]->IsNone();
  }
  bool Bool(size_t index, bool otherwise) const {
    return values_[index] == nullptr ? otherwise : Truth(*values_[index]);
  }
  // Throws for what is no integer.
  Int Integer(size_t index, Int otherwise) const;
  // Throws for what is no string.
  const std::string& String(size_t index) const;

 private:
  std::vector<const Value*> values_;
  std::string function_;
};

}  // namespace lutra::chat

#endif  // LUTRA_RUNTIME_CHAT_CALL_H_
