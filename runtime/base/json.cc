#include "runtime/base/json.h"

#include <cstdint>
#include <vector>

#include "lutra/runtime/error.h"
#include "runtime/base/text_of.h"

namespace lutra {
namespace {

using nlohmann::json;

// Deeper than anything that is written for lutra, far from exhausting a stack.
constexpr size_t kMaxDepth = 32;
// Bounds memory: a parsed value takes several times the bytes of its text.
constexpr size_t kMaxValues = size_t{1} << 22;

// Python writes numbers that JSON does not have. If one of them starts at
// `offset`, its spelling; else "".
std::string NoNumber(std::string_view text, size_t offset) {
  if (offset >= text.size()) return "";
  const std::string_view rest = text.substr(offset);
  const std::string sign = offset > 0 && text[offset - 1] == '-' ? "-" : "";
  if (rest.starts_with("NaN")) return TextOf(sign, "NaN");
  if (rest.starts_with("Infinity")) return TextOf(sign, "Infinity");
  return "";
}

// Takes what nlohmann's parser finds, and puts it together in the root of a
// document, so that nothing is destroyed elsewhere.
class Builder {
 public:
  Builder(std::string_view text, std::string_view file, std::string_view what,
          json& root)
      : text_(text), file_(file), what_(what), root_(root) {}

  bool null() { return Add(nullptr); }
  bool boolean(bool value) { return Add(value); }
  bool number_integer(int64_t value) { return Add(value); }
  bool number_unsigned(uint64_t value) { return Add(value); }
  bool number_float(double value, const std::string&) { return Add(value); }
  bool string(std::string& value) { return Add(std::move(value)); }
  bool binary(json::binary_t&) { return false; }  // not in text
  bool start_object(size_t) { return Open(json::value_t::object); }
  bool start_array(size_t) { return Open(json::value_t::array); }
  bool end_object() { return Close(); }
  bool end_array() { return Close(); }

  bool key(std::string& key) {
    Count();
    Container& object = open_.back();
    auto& members = object.value->get_ref<json::object_t&>();
    const auto [member, is_new] = members.try_emplace(key);
    if (!is_new) Fail(TextOf(" has the key '", key, "' twice in one object"));
    object.key = member->first;
    object.member = &member->second;
    return true;
  }

  bool parse_error(size_t position, const std::string&,
                   const json::exception& error) {
    constexpr int kOverflow = 406;
    if (error.id == kOverflow) {
      Fail(TextOf(" is not valid JSON (", error.what(), ")"));
    }
    const std::string number =
        position == 0 ? "" : NoNumber(text_, position - 1);
    if (!number.empty()) {
      Fail(TextOf(": ", Where(), " is ", number,
                  ", which JSON has no number for"));
    }
    Fail(TextOf(" is not valid JSON (at byte ", position, ")"));
  }

 private:
  // An object or a list whose end is still to come.
  struct Container {
    json* value = nullptr;
    std::string_view key;    // the last one of an object
    json* member = nullptr;  // and what lies under it
  };

  [[noreturn]] void Fail(const std::string& cause) const {
    throw Error::InFile(file_, TextOf(what_, cause));
  }

  // The keys that lead to what is read.
  std::string Where() const {
    std::string where;
    for (const Container& container : open_) {
      if (container.member == nullptr) continue;
      where += where.empty() ? "'" : ".";
      where += container.key;
    }
    return where.empty() ? "a value" : TextOf(where, "'");
  }

  void Count() {
    if (++values_ > kMaxValues) Fail(" has too many values");
  }

  // Where the next value lies.
  json& Place() {
    Count();
    if (open_.empty()) return root_;
    const Container& container = open_.back();
    if (container.member != nullptr) return *container.member;
    container.value->push_back(nullptr);
    return container.value->back();
  }

  template <typename T>
  bool Add(T&& value) {
    Place() = std::forward<T>(value);
    return true;
  }

  bool Open(json::value_t type) {
    if (open_.size() >= kMaxDepth) Fail(" is nested too deeply");
    json& value = Place();
    value = type;
    open_.push_back({&value, {}, nullptr});
    return true;
  }

  bool Close() {
    open_.pop_back();
    return true;
  }

  std::string_view text_;
  std::string_view file_;
  std::string_view what_;
  json& root_;
  std::vector<Container> open_;
  size_t values_ = 0;
};

void TakeApart(json& value) noexcept {
  if (!value.is_structured()) return;
  for (json& below : value) TakeApart(below);
  value.clear();
}

}  // namespace

JsonDocument::~JsonDocument() { TakeApart(root_); }

JsonDocument ParseJson(std::string_view text, std::string_view file,
                       std::string_view what) {
  JsonDocument document;
  Builder builder(text, file, what, document.root());
  // Whatever is wrong is thrown by the builder.
  json::sax_parse(text, &builder);
  return document;
}

std::string QuoteJson(std::string_view text, std::string_view file) {
  try {
    return json(text).dump();
  } catch (const json::exception&) {
    throw Error::InFile(file, TextOf("'", text, "' is not valid UTF-8"),
                        ErrorCode::kInvalidArgument);
  }
}

}  // namespace lutra
