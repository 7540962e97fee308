#ifndef LUTRA_RUNTIME_BASE_JSON_H_
#define LUTRA_RUNTIME_BASE_JSON_H_

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>

// JSON from and to files. Readers accept hostile text: nesting is limited and
// a key that occurs twice in an object is an error (a parser that keeps one of
// them lets a file mean different things to different programs).

namespace lutra {

// What was parsed. nlohmann's destructor allocates where a value has others
// below it, and ends the program if it cannot; this one takes the tree apart
// from its leaves, which needs no memory. Values that have others below them
// are better not copied.
class JsonDocument {
 public:
  JsonDocument() = default;
  ~JsonDocument();
  JsonDocument(JsonDocument&& other) noexcept : root_(std::move(other.root_)) {}
  JsonDocument& operator=(JsonDocument&& other) noexcept {
    std::swap(root_, other.root_);
    return *this;
  }

  nlohmann::json& root() { return root_; }
  const nlohmann::json& root() const { return root_; }

 private:
  nlohmann::json root_;
};

// Throws Error "file: what is not valid JSON ...". NaN and Infinity, which
// Python writes, are refused under their key.
JsonDocument ParseJson(std::string_view text, std::string_view file,
                       std::string_view what);

// `text` as a JSON string with its quotes. Throws Error if it is not UTF-8.
std::string QuoteJson(std::string_view text, std::string_view file);

}  // namespace lutra

#endif  // LUTRA_RUNTIME_BASE_JSON_H_
