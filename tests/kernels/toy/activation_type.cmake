# The edits of "An activation type", docs/kernels.md.
toy_edit(kernels/include/lutra/kernels/activation_type.h "  kBFloat16,
}" "  kBFloat16,
  kInt7,
}")
toy_edit(kernels/include/lutra/kernels/activation_type.h
         "\"bfloat16\", true, false, false, true},"
         "\"bfloat16\", true, false, false, true},
    {ActivationType::kInt7, \"int7\", false, false, false, false},")
toy_edit(kernels/lut/quantize.h "TokenScale t;
  if (!Traits" "TokenScale t;
  if (type == ActivationType::kInt7) {
    t.scale = std::max(std::max(max, -min) / 63.0f, 0x1p-126f);
    t.low = -63;
  } else if (!Traits")
