#ifndef LUTRA_QAT_SUGGEST_H_
#define LUTRA_QAT_SUGGEST_H_

#include <span>
#include <string>
#include <string_view>

namespace lutra::qat {

// The cause of an error about a word that is none of `known`, e.g.
// "unknown quantizer 'streched'; did you mean 'stretched'? (known: lsbq,
// stretched, uniform)". Without the question where nothing is near.
std::string UnknownWord(std::string_view what, std::string_view word,
                        std::span<const std::string_view> known);

}  // namespace lutra::qat

#endif  // LUTRA_QAT_SUGGEST_H_
