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

}  // namespace

json ParseJson(std::string_view text, std::string_view file,
               std::string_view what) {
  const std::string prefix(what);
  std::vector<std::set<std::string>> keys;  // of the objects that are open
  size_t values = 0;
  const auto check = [&](int depth, json::parse_event_t event, json& parsed) {
    if (++values > kMaxValues) {
      throw Error::InFile(file, prefix + " has too many values");
    }
    switch (event) {
      case json::parse_event_t::object_start:
        keys.emplace_back();
        [[fallthrough]];
      case json::parse_event_t::array_start:
        if (depth >= kMaxDepth) {
          throw Error::InFile(file, prefix + " is nested too deeply");
        }
        break;
      case json::parse_event_t::object_end:
        keys.pop_back();
        break;
      case json::parse_event_t::key: {
        const auto& key = parsed.get_ref<const std::string&>();
        if (!keys.back().insert(key).second) {
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
    throw Error::InFile(file, "'" + std::string(text) + "' is not valid UTF-8");
  }
}

}  // namespace lutra
