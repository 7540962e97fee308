#ifndef LUTRA_RUNTIME_CHAT_NUMBER_FORMAT_H_
#define LUTRA_RUNTIME_CHAT_NUMBER_FORMAT_H_

#include <cstddef>
#include <string>

namespace lutra::chat {

// Of a number that is not negative, as Python's formats e, f, g and their
// capitals write it. `hash`: with the point and zeros that others drop.
std::string RealDigits(double value, char type, size_t precision, bool hash);

// A float's format without a type: as g, but with a digit behind the point.
std::string GeneralText(double value, size_t precision, bool hash);

}  // namespace lutra::chat

#endif  // LUTRA_RUNTIME_CHAT_NUMBER_FORMAT_H_
