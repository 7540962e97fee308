#ifndef LUTRA_RUNTIME_BASE_JSON_H_
#define LUTRA_RUNTIME_BASE_JSON_H_

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

// JSON from and to files. Readers accept hostile text: nesting is limited and
// a key that occurs twice in an object is an error (a parser that keeps one of
// them lets a file mean different things to different programs).

namespace lutra {

// Throws Error "file: what is not valid JSON ...". NaN and Infinity, which
// Python writes, are refused under their key.
nlohmann::json ParseJson(std::string_view text, std::string_view file,
                         std::string_view what);

// `text` as a JSON string with its quotes. Throws Error if it is not UTF-8.
std::string QuoteJson(std::string_view text, std::string_view file);

}  // namespace lutra

#endif  // LUTRA_RUNTIME_BASE_JSON_H_
