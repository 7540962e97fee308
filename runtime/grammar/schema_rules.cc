#include "runtime/grammar/schema_rules.h"

namespace lutra::grammar {
namespace {

// White space is bounded, so that a model cannot write it for ever, and so are
// numbers.
constexpr SchemaRule kRules[] = {
    {"ws", R"( | " " | "\n" [ \t]{0,20})", ""},
    {"char",
     R"([^"\\\x00-\x1f] | "\\" (["\\/bfnrt] | "u" ([0-9a-cA-CefEF] [0-9a-fA-F]{3} | [dD] [0-7] [0-9a-fA-F]{2} | [dD] [89abAB] [0-9a-fA-F]{2} "\\u" [dD] [c-fC-F] [0-9a-fA-F]{2})))",
     ""},
    {"string", R"("\"" char* "\"")", "char"},
    {"integer", R"("-"? ("0" | [1-9] [0-9]{0,15}))", ""},
    {"number", R"(integer ("." [0-9]{1,16})? ([eE] [-+]? [0-9]{1,2})?)",
     "integer"},
    {"boolean", R"("true" | "false")", ""},
    {"null", R"("null")", ""},
    {"value", R"(object | array | string | number | boolean | null)",
     "object array string number boolean null"},
    {"member", R"(string ":" ws value)", "string ws value"},
    {"object", R"("{" ws (member ("," ws member)* ws)? "}")", "ws member"},
    {"array", R"("[" ws (value ("," ws value)* ws)? "]")", "ws value"},
    {"date",
     R"([0-9]{4} "-" ("0" [1-9] | "1" [0-2]) "-" ("0" [1-9] | [12] [0-9] | "3" [01]))",
     ""},
    {"time",
     R"(([01] [0-9] | "2" [0-3]) ":" [0-5] [0-9] ":" [0-5] [0-9] ("." [0-9]{1,9})? ("Z" | [+-] ([01] [0-9] | "2" [0-3]) ":" [0-5] [0-9]))",
     ""},
    {"date-time", R"(date "T" time)", "date time"},
    {"uuid",
     R"([0-9a-fA-F]{8} "-" [0-9a-fA-F]{4} "-" [0-9a-fA-F]{4} "-" [0-9a-fA-F]{4} "-" [0-9a-fA-F]{12})",
     ""},
};

}  // namespace

Span<const SchemaRule> SchemaRules() { return kRules; }

}  // namespace lutra::grammar
