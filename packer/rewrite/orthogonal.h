#ifndef LUTRA_PACKER_REWRITE_ORTHOGONAL_H_
#define LUTRA_PACKER_REWRITE_ORTHOGONAL_H_

#include <cstddef>
#include <cstdint>
#include <vector>

namespace lutra::packer {

// An orthogonal matrix [n, n], to the rounding of float32; the same for a seed
// on every machine. With n = 2^a m and m odd: the Kronecker product of the
// Hadamard matrix of 2^a and a random orthogonal matrix of m, its rows with
// random signs.
std::vector<float> RandomRotation(size_t n, uint64_t seed);

}  // namespace lutra::packer

#endif  // LUTRA_PACKER_REWRITE_ORTHOGONAL_H_
