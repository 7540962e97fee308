#ifndef LUTRA_RUNTIME_BASE_UNKNOWN_WORD_H_
#define LUTRA_RUNTIME_BASE_UNKNOWN_WORD_H_

#include <span>
#include <string>
#include <string_view>

namespace lutra {

// The cause of an error about a word that is none of `known`, e.g.
// "unknown quantizer 'streched'; did you mean 'stretched'? (known: lsbq,
// stretched, uniform)". Without the question where nothing is near.
std::string UnknownWord(std::string_view what, std::string_view word,
                        std::span<const std::string_view> known);

}  // namespace lutra

#endif  // LUTRA_RUNTIME_BASE_UNKNOWN_WORD_H_
