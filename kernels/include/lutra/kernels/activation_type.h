#ifndef LUTRA_KERNELS_ACTIVATION_TYPE_H_
#define LUTRA_KERNELS_ACTIVATION_TYPE_H_

namespace lutra::kernels {

// How activations enter the dot product; gemm.h says what becomes of them. In
// the order of lutra_activations of the C API.
enum class ActivationType {
  // Quantized per token (row of x) on the fly, as torchao does:
  //   mn = min(min x, 0), mx = max(max x, 0)
  //   s = max((mx - mn) / 255, 2^-126), z = clip(-128 - rne(mn/s), -128, 127)
  //   q = clip(rne(x * (1/s)) + z, -128, 127)
  // With fewer bits b (GemmArguments::activation_bits) -2^(b-1) and 2^(b-1) - 1
  // take the places of -128 and 127, and 2^b - 1 that of 255.
  kInt8Asymmetric,
  // Quantized per token on the fly:
  //   s = max(max|x| / 127, 2^-126), q = clip(rne(x * (1/s)), -127, 127)
  // With fewer bits b, 2^(b-1) - 1 takes the place of 127.
  kInt8Symmetric,
  // Used as they are, with w dequantized on the fly.
  kFloat32,
  // As kInt8Symmetric, with a scale for every group of the weight's columns.
  kInt8PerGroup,
  // Rounded to bfloat16 (to nearest even), then as kFloat32.
  kBFloat16,
};

struct ActivationTraits {
  ActivationType type;
  const char* name;  // in options and the names of benchmarks
  bool is_float;     // multiplied as floats, not as int8
  // Of int8: values from -128 on, with a zero point per token, which the row
  // sums of a matrix take out again.
  bool has_zero_point;
  bool has_group_scales;  // of int8
  bool is_rounded;        // of floats: to bfloat16
};

// One entry for each type, in their order.
inline constexpr ActivationTraits kActivationTypes[] = {
    {ActivationType::kInt8Asymmetric, "int8", false, true, false, false},
    {ActivationType::kInt8Symmetric, "int8-symmetric", false, false, false,
     false},
    {ActivationType::kFloat32, "float32", true, false, false, false},
    {ActivationType::kInt8PerGroup, "int8-per-group", false, false, true,
     false},
    {ActivationType::kBFloat16, "bfloat16", true, false, false, true},
};

constexpr const ActivationTraits& Traits(ActivationType type) {
  return kActivationTypes[static_cast<int>(type)];
}

}  // namespace lutra::kernels

#endif  // LUTRA_KERNELS_ACTIVATION_TYPE_H_
