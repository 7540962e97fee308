#include "runtime/base/json.h"

#include <set>
#include <vector>

#include "lutra/runtime/error.h"

namespace lutra {
namespace {

using nlohmann::json;

// Deeper than anything that is written for lutra, far from exhausting a stack.
constexpr int kMaxDepth = 32;
// Bounds memory: a parsed value takes several times the bytes of its text.
constexpr size_t kMaxValues = size_t{1} << 22;

// An object that is being parsed.
struct OpenObject {
  std::set<std::string> keys;
  std::string last;  // of the keys
};

// Python writes numbers that JSON does not have. If one of them starts at
// `offset`, what is wrong, with the keys it lies under; else "".
std::string NoNumber(std::string_view text, size_t offset,
                     const std::vector<OpenObject>& objects) {
  if (offset >= text.size()) return "";
  const std::string_view rest = text.substr(offset);
  std::string value;
  if (offset > 0 && text[offset - 1] == '-') value = "-";
  if (rest.starts_with("NaN")) {
    value += "NaN";
  } else if (rest.starts_with("Infinity")) {
    value += "Infinity";
  } else {
    return "";
  }
  std::string where;
  for (const OpenObject& object : objects) {
    where += (where.empty() ? "'" : ".") + object.last;
  }
  return (where.empty() ? "a value" : where + "'") + " is " + value +
         ", which JSON has no number for";
}

}  // namespace

json ParseJson(std::string_view text, std::string_view file,
               std::string_view what) {
  const std::string prefix(what);
  std::vector<OpenObject> objects;
  size_t values = 0;
  const auto check = [&](int depth, json::parse_event_t event, json& parsed) {
    if (++values > kMaxValues) {
      throw Error::InFile(file, prefix + " has too many values");
    }
    switch (event) {
      case json::parse_event_t::object_start:
        objects.emplace_back();
        [[fallthrough]];
      case json::parse_event_t::array_start:
        if (depth >= kMaxDepth) {
          throw Error::InFile(file, prefix + " is nested too deeply");
        }
        break;
      case json::parse_event_t::object_end:
        objects.pop_back();
        break;
      case json::parse_event_t::key: {
        const auto& key = parsed.get_ref<const std::string&>();
        objects.back().last = key;
        if (!objects.back().keys.insert(key).second) {
          throw Error::InFile(
              file, prefix + " has the key '" + key + "' twice in one object");
        }
        break;
      }
      default:
        break;
    }
    return true;
  };
  try {
    return json::parse(text, check);
  } catch (const json::parse_error& e) {
    const std::string cause =
        e.byte == 0 ? "" : NoNumber(text, e.byte - 1, objects);
    if (!cause.empty()) throw Error::InFile(file, prefix + ": " + cause);
    throw Error::InFile(file, prefix + " is not valid JSON (at byte " +
                                  std::to_string(e.byte) + ")");
  } catch (const json::exception& e) {
    throw Error::InFile(file, prefix + " is not valid JSON (" + e.what() + ")");
  }
}

std::string QuoteJson(std::string_view text, std::string_view file) {
  try {
    return json(text).dump();
  } catch (const json::exception&) {
    throw Error::InFile(file, "'" + std::string(text) + "' is not valid UTF-8",
                        ErrorCode::kInvalidArgument);
  }
}

}  // namespace lutra
