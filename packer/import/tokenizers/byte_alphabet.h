#ifndef LUTRA_PACKER_IMPORT_TOKENIZERS_BYTE_ALPHABET_H_
#define LUTRA_PACKER_IMPORT_TOKENIZERS_BYTE_ALPHABET_H_

#include <array>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "runtime/base/utf8.h"

namespace lutra::packer {

// Byte-level tokenizers spell every byte as a character that can be printed:
// printable bytes of Latin-1 as themselves, the others by counting up from
// U+0100.
class ByteAlphabet {
 public:
  ByteAlphabet() {
    char32_t next = 0x100;
    for (unsigned byte = 0; byte < 256; ++byte) {
      const bool printable = (byte >= 0x21 && byte <= 0x7E) ||
                             (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
      const char32_t character = printable ? char32_t{byte} : next++;
      bytes_[character] = static_cast<char>(byte);
      spelled_[byte] = character;
    }
  }

  // The bytes that `piece` spells; nothing if it is not in the alphabet.
  std::optional<std::string> Decode(std::string_view piece) const {
    std::string result;
    for (std::string_view rest = piece; !rest.empty();) {
      const auto byte = bytes_.find(DecodeUtf8(rest));
      if (byte == bytes_.end()) return std::nullopt;
      result += byte->second;
      rest.remove_prefix(ReadUtf8(rest).bytes);
    }
    return result;
  }

  std::string Encode(std::string_view bytes) const {
    std::string result;
    for (const char byte : bytes) {
      const char32_t c = spelled_[static_cast<unsigned char>(byte)];
      if (c < 0x80) {
        result += static_cast<char>(c);
      } else {  // below U+0800: two bytes of UTF-8
        result += static_cast<char>(0xC0 | (c >> 6));
        result += static_cast<char>(0x80 | (c & 0x3F));
      }
    }
    return result;
  }

 private:
  std::map<char32_t, char> bytes_;
  std::array<char32_t, 256> spelled_;
};

}  // namespace lutra::packer

#endif  // LUTRA_PACKER_IMPORT_TOKENIZERS_BYTE_ALPHABET_H_
