#ifndef LUTRA_RUNTIME_ROPE_ANGLES_H_
#define LUTRA_RUNTIME_ROPE_ANGLES_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "lutra/runtime/operator.h"

namespace lutra {

// The direction of an angle: cosine and sine, each rounded to float32.
struct Direction {
  float cosine = 0;
  float sine = 0;
};
// Of the angle place * frequency, rounded to float32 as the models' own code
// does; then in double precision by polynomials, since the C library's
// functions may give other bits on other CPUs. Less than 1e-9 off before the
// last rounding, for angles up to 2^24. NaNs for angles from 1e15 on.
Direction DirectionOf(float place, float frequency);

// Cosines and sines of position * frequency, times `scale`, for the rows of a
// call. One object serves all rope nodes of a program that have the same
// frequencies and scale, so that they are computed once per call.
class RopeAngles {
 public:
  // `frequencies` [count] must outlive this.
  RopeAngles(const float* frequencies, size_t count, float scale);

  // Makes ready for calls with up to `m` rows.
  void Prepare(size_t m);
  // Computes the rows of the call unless they are there. Allocates nothing.
  void Update(const Call& call);

  // Of row `row`, [count].
  const float* Cosines(size_t row) const { return &cosines_[row * count_]; }
  const float* Sines(size_t row) const { return &sines_[row * count_]; }

 private:
  const float* frequencies_;
  size_t count_;
  float scale_;
  uint64_t call_ = 0;  // whose rows they are
  std::vector<float> cosines_;
  std::vector<float> sines_;
};

}  // namespace lutra

#endif  // LUTRA_RUNTIME_ROPE_ANGLES_H_
