#ifndef LUTRA_RUNTIME_GRAMMAR_H_
#define LUTRA_RUNTIME_GRAMMAR_H_

#include <memory>
#include <string>
#include <string_view>

namespace lutra {

namespace grammar {
struct Rules;
}

// A set of texts. Immutable; may be used from several threads.
class Grammar {
 public:
  // GBNF, the notation of llama.cpp (grammars/README.md there): the texts of
  // the rule "root".
  //
  //   root   ::= answer ("," ws answer)*
  //   answer ::= "yes" | "no" | [0-9]{1,3}
  //   ws     ::= [ \t\n]?    # a comment
  //
  // Throws Error with the line for what is no grammar, for rules that are
  // missing, that begin with themselves (left recursion), or that are too large
  // (more than 2^20 symbols once repetitions are written out).
  static std::shared_ptr<const Grammar> Parse(std::string_view gbnf);

  // JSON that a schema allows (json-schema.org, drafts 7 to 2020-12), as a
  // subset of it: properties come in the schema's order, there are none that
  // it does not name unless it has additionalProperties, numbers have at most
  // 16 digits. docs/constraints.md lists the keywords. Throws Error for what is
  // no schema and for keywords that are not supported, named with their place.
  static std::shared_ptr<const Grammar> FromJsonSchema(std::string_view schema);

  ~Grammar();
  Grammar(const Grammar&) = delete;
  Grammar& operator=(const Grammar&) = delete;

  // In GBNF; what a schema became.
  const std::string& text() const { return text_; }

  // Whether the whole text is one of the set. Throws Error where there are too
  // many ways to read it.
  bool Matches(std::string_view text) const;

  const std::shared_ptr<const grammar::Rules>& rules() const { return rules_; }

 private:
  explicit Grammar(std::string gbnf);

  std::string text_;
  std::shared_ptr<const grammar::Rules> rules_;
};

}  // namespace lutra

#endif  // LUTRA_RUNTIME_GRAMMAR_H_
