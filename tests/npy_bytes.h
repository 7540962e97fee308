#ifndef LUTRA_TESTS_NPY_BYTES_H_
#define LUTRA_TESTS_NPY_BYTES_H_

#include <cstddef>
#include <string>
#include <string_view>

// .npy files, sound and otherwise.

namespace lutra {

inline std::string NpyWithHeader(std::string_view header, std::string_view data,
                                 char version = 1) {
  std::string bytes = "\x93NUMPY";
  bytes += version;
  bytes += '\0';
  for (size_t i = 0; i < (version == 1 ? 2u : 4u); ++i) {
    bytes += static_cast<char>(header.size() >> (8 * i) & 0xFF);
  }
  return bytes.append(header).append(data);
}

// The shape as NumPy writes it, e.g. "(2, 3)".
inline std::string NpyBytes(const std::string& descr, const std::string& shape,
                            const std::string& data) {
  return NpyWithHeader("{'descr': '" + descr +
                           "', 'fortran_order': False, 'shape': " + shape +
                           ", }",
                       data);
}

}  // namespace lutra

#endif  // LUTRA_TESTS_NPY_BYTES_H_
