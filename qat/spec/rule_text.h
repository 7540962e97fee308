#ifndef LUTRA_QAT_SPEC_RULE_TEXT_H_
#define LUTRA_QAT_SPEC_RULE_TEXT_H_

#include <functional>
#include <span>
#include <string_view>

namespace lutra::qat {

// The form that all rules have on the command line: "REGEX=key:value,...", in
// which the expression may hold '=' itself. Calls set(key, value) for each key,
// one of `keys`, and returns REGEX. `form` says what is expected after '='.
// Throws lutra::Error.
std::string_view ParseRule(
    std::string_view text, std::span<const std::string_view> keys,
    std::string_view form,
    const std::function<void(std::string_view, std::string_view)>& set);

}  // namespace lutra::qat

#endif  // LUTRA_QAT_SPEC_RULE_TEXT_H_
