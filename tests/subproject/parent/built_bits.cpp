// Prints which bits of weights lutra was built with, and what it says of others.
#include <lutra/kernels/lut_matrix.h>

#include <cstdio>
#include <initializer_list>

int main() {
  lutra::kernels::LutFormat format;
  format.n = 16;
  format.k = 64;
  for (const unsigned bits : {1u, 2u, 3u, 4u, 8u}) {
    format.bits = bits;
    const char* const reason = lutra::kernels::CheckFormat(format);
    std::printf("%u: %s\n", bits, reason == nullptr ? "yes" : reason);
  }
}
