// Languages: chat templates, grammars, JSON schemas, specifications.

#include <span>
#include <stdexcept>
#include <string>
#include <string_view>

#include "lutra/qat/spec.h"
#include "lutra/runtime/chat_template.h"
#include "lutra/runtime/grammar.h"
#include "lutra/runtime/model.h"
#include "lutra/runtime/token_constraint.h"
#include "lutra/runtime/tokenizer.h"
#include "tests/fuzz/damage.h"
#include "tests/fuzz/files.h"
#include "tests/fuzz/fuzz_target.h"
#include "tests/fuzz/use_model.h"
#include "tests/runtime/tiny_language.h"

namespace lutra::fuzz {
namespace {

// "" if the input has no such file.
std::string FileIn(const Files& files, std::string_view name) {
  for (const auto& [other, bytes] : files) {
    if (other == name) return bytes;
  }
  return "";
}

void ReadChatTemplate(const std::string& input) {
  const Files files = SplitFiles(input);
  ChatOptions options;
  options.tools = FileIn(files, "tools.json");
  options.add_generation_prompt = true;
  options.now = ChatTime();
  const auto chat =
      ChatTemplate::Parse(FileIn(files, "chat.jinja"),
                          {{"bos_token", "<s>"}, {"eos_token", "</s>"}});
  (void)chat->Render(FileIn(files, "messages.json"), options);
}

Inputs ChatTemplateSeeds() {
  constexpr const char* kMessages =
      R"([{"role": "system", "content": "Be brief."},
          {"role": "user", "content": [{"type": "text", "text": "Who?"}]},
          {"role": "assistant", "content": "", "tool_calls": [{"type":
           "function", "function": {"name": "f", "arguments": {"x": 1.5}}}]}])";
  constexpr const char* kTools =
      R"([{"type": "function", "function": {"name": "f", "description": "d",
           "parameters": {"type": "object", "properties": {"x": {"type":
           "number"}}, "required": ["x"]}}}])";
  Inputs inputs;
  for (const char* source :
       {"{{- bos_token }}{%- for m in messages -%}\n{{ '<|' + m['role'] + '|>'"
        " ~ (m.content | trim if m.content is string else '') }}{% if loop.last"
        " and not add_generation_prompt %}{{ eos_token }}{% endif %}{% endfor "
        "%}",
        "{% macro show(a, b=2) %}{% if a is mapping %}{% for k, v in a | "
        "dictsort %}{{ k }}={{ show(v) }};{% endfor %}{% elif a is iterable "
        "and "
        "a is not string %}{{ a | join(', ') }}{% else %}{{ a | tojson }}{% "
        "endif %}{% endmacro %}{% set ns = namespace(n=0) %}{% for t in tools "
        "%}{% set ns.n = ns.n + 1 %}{{ show(t.function) }}{% endfor %}{{ ns.n "
        "}}{{ strftime_now('%d %b %Y') }}",
        "{%- if messages[0].role == 'system' %}{% set rest = messages[1:] %}{% "
        "else %}{% set rest = messages %}{% endif %}{% for m in rest | "
        "selectattr('role', 'equalto', 'user') | list %}{{ m.content[0].text | "
        "upper | replace('W', '%s') % ('x' * 3) }}{% else %}{{ "
        "raise_exception('none') }}{% endfor %}{{ [1, 2, 3][::-1] | map("
        "'string') | join }}{{ {'a': (1, 2)}.items() | list }}{{ 'a-b'.split("
        "'-') | length }}{{ 7 // 2 ** 2 }}"}) {
    inputs.push_back(JoinFiles({{"chat.jinja", source},
                                {"messages.json", kMessages},
                                {"tools.json", kTools}}));
  }
  return inputs;
}

// Is a text one of the grammar, and what would a model be held to?
void UseGrammar(std::shared_ptr<const Grammar> grammar,
                const std::string& text) {
  static const auto tokenizer = [] {
    static const std::string file = BytesOf(TinyLanguage().Build());
    return Tokenizer::FromModel(
        *Model::LoadMemory(std::as_bytes(std::span(file)), "model"));
  }();
  (void)grammar->Matches(text);
  TokenConstraint constraint(std::move(grammar), *tokenizer,
                             TinyLanguage::kVocabulary);
  for (size_t step = 0; step < 20 && !constraint.finished(); ++step) {
    const Span<const uint32_t> allowed = constraint.Allowed();
    // From another place each time, so that not the shortest text comes out.
    int32_t id = static_cast<int32_t>(step * 7 % TinyLanguage::kVocabulary);
    const auto is_allowed = [&allowed](int32_t token) {
      return (allowed[static_cast<size_t>(token) / 32] >> (token % 32) & 1) !=
             0;
    };
    for (size_t i = 0; i < TinyLanguage::kVocabulary && !is_allowed(id); ++i) {
      id = (id + 1) % static_cast<int32_t>(TinyLanguage::kVocabulary);
    }
    if (!is_allowed(id) || tokenizer->IsEnd(id)) break;
    constraint.Accept(id);
  }
}

void ReadGbnf(const std::string& input) {
  const Files files = SplitFiles(input);
  UseGrammar(Grammar::Parse(FileIn(files, "grammar.gbnf")),
             FileIn(files, "text.txt"));
}

Inputs GbnfSeeds() {
  Inputs inputs;
  for (const auto& [grammar, text] :
       {std::pair{"root ::= answer (\",\" ws answer)*\n"
                  "answer ::= \"yes\" | \"no\" | [0-9]{1,3}\n"
                  "ws ::= [ \\t\\n]?    # a comment\n",
                  "yes, no,123"},
        std::pair{"root ::= \"(\" root \")\" | item+ # end\n"
                  "item ::= (\"a\" | \"b\" (\"c\"\n | \"d\")) [^x-z\\n]{2,} . "
                  "\"\\x41\\u00e9\\U0001F9A6\\\"\"?\n",
                  "(ahello)"},
        std::pair{"root ::= [a-c\\]^-]{,2} x{2}\nx ::= \"the\" | \"\"",
                  "abthe"}}) {
    inputs.push_back(
        JoinFiles({{"grammar.gbnf", grammar}, {"text.txt", text}}));
  }
  return inputs;
}

void ReadSchema(const std::string& input) {
  const Files files = SplitFiles(input);
  UseGrammar(Grammar::FromJsonSchema(FileIn(files, "schema.json")),
             FileIn(files, "text.txt"));
}

Inputs SchemaSeeds() {
  Inputs inputs;
  for (const char* schema :
       {R"({"type": "object", "properties": {"z": {"type": "integer",
            "minimum": 3, "maximum": 250}, "a": {"type": ["boolean", "null"]},
            "m": {"enum": ["x", 1, {"b": null}]}}, "required": ["a"],
            "additionalProperties": {"type": "string", "maxLength": 4}})",
        R"({"$defs": {"node": {"type": "object", "properties": {"next":
            {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]}}}},
            "$ref": "#/$defs/node"})",
        R"({"type": "array", "items": {"type": "string", "pattern":
            "^[a-f]{2,4}(x|y)*\\d?$"}, "minItems": 1, "maxItems": 3})",
        R"({"allOf": [{"properties": {"a": {"const": "q"}}}, {"properties":
            {"b": {"type": "number", "exclusiveMinimum": -1}}, "required":
            ["b"]}], "prefixItems": [{"format": "date-time"}]})"}) {
    inputs.push_back(
        JoinFiles({{"schema.json", schema}, {"text.txt", R"({"a": true})"}}));
  }
  return inputs;
}

void ReadSpecification(const std::string& input) {
  const auto spec = qat::QuantizationSpec::Parse(input, "input");
  if (qat::QuantizationSpec::Parse(spec.ToJson(), "again").ToJson() !=
      spec.ToJson()) {
    throw std::logic_error("a specification is another when it is read again");
  }
  for (const char* name : {"embedding", "fc1.weight"}) {
    const auto layer = spec.Match({name, OpType::kLinear});
    if (!layer.activations || layer.activations->IsFloat()) continue;
    (void)qat::FakeQuantOptionsOf(*layer.activations);
  }
  qat::SchemeRules rules;
  spec.AppendTo(rules);
  (void)rules.Match({"fc1.weight", OpType::kLinear});
}

Inputs SpecificationSeeds() {
  return {R"({"preset": "int8da-stretched2-g32",
        "rules": [{"name": "embed", "weights": {"dtype": "int4",
                   "granularity": "channel", "quantizer": "intx"}},
                  {"op": "linear", "weights": {"dtype": "int3",
                   "group_size": 16, "scale_type": "bfloat16"}}],
        "exclude": ["op:conv2d", "fc[0-9]+\\.weight"]})",
          R"({"weights": {"dtype": "ternary"}, "activations": {"dtype": "uint8",
        "symmetric": false, "observer": "percentile", "percentile": 99.5,
        "dynamic": false, "rounding": "half-even"},
        "rules": [{"name": "a", "weights": "float32", "activations": null}]})"};
}

}  // namespace

std::vector<FuzzTarget> TextTargets() {
  return {
      {"chat_template", ReadChatTemplate, ChatTemplateSeeds, DamageFiles},
      {"gbnf", ReadGbnf, GbnfSeeds, DamageFiles},
      {"json_schema", ReadSchema, SchemaSeeds, DamageFiles},
      {"specification", ReadSpecification, SpecificationSeeds, DamageJson},
  };
}

}  // namespace lutra::fuzz
