// What the standard library of emscripten 3.1.6 (Debian 12) lacks of C++20;
// included before every file by wasm.cmake.
#ifdef __cplusplus
#include <version>
#if !defined(__cpp_lib_bit_cast)
namespace std {
template <class To, class From>
constexpr To bit_cast(const From& from) noexcept {
  return __builtin_bit_cast(To, from);
}
}  // namespace std
#endif
#endif
