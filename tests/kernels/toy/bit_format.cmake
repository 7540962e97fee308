# The edits of "A bit format", docs/kernels.md.
toy_edit(kernels/format/bit_formats.h "{8, 16, 0}};" "{8, 16, 0}, {6, 16, 0}};")
toy_edit(kernels/include/lutra/kernels/lut_matrix.h "return bits != 8;"
         "return bits != 8 && bits != 6;")
toy_edit(kernels/format/layout.h
         "if (bits == 8) return unit[tile * kTileBytes + byte];"
         "if (bits == 8) return unit[tile * kTileBytes + byte];
  if (bits == 6) {
    const int low = unit[tile / 2 * kTileBytes + byte] >> (4 * (tile % 2));
    const int high = unit[2 * kTileBytes + byte] >> (2 * tile);
    return static_cast<uint8_t>(((low & 15) | ((high & 3) << 4)) - 32);
  }")
toy_edit(kernels/format/layout.h
         "if (bits == 8) return put(unit[tile * kTileBytes + byte], index);"
         "if (bits == 8) return put(unit[tile * kTileBytes + byte], index);
  if (bits == 6) {
    const size_t value = (index + 32u) & 63;
    put(unit[tile / 2 * kTileBytes + byte], (value & 15) << (4 * (tile % 2)));
    return put(unit[2 * kTileBytes + byte], (value >> 4) << (2 * tile));
  }")
toy_edit(kernels/lut/decode-inl.h "} else if constexpr (kBits == 8) {"
         "} else if constexpr (kBits == 6) {
    const VU8 b = hn::LoadU(d, unit + kTileBytes);
    const VU8 h = hn::LoadU(d, unit + 2 * kTileBytes);
    const auto join = [&](VU8 low, VU8 high) HWY_ATTR {
      const VU8 value = hn::Or(low, hn::And(high, hn::Set(d, 0x30)));
      return hn::Add(hn::Sub(value, hn::Set(d, 32)), t0);
    };
    v0 = join(LowNibbles(a), ShiftLeftPairs<4>(h));
    v1 = join(HighNibbles(a), ShiftLeftPairs<2>(h));
    v2 = join(LowNibbles(b), h);
    v3 = join(HighNibbles(b), ShiftRightPairs<2>(h));
  } else if constexpr (kBits == 8) {")
toy_edit(tests/kernels/random_matrix.h "{1u, 2u, 3u, 4u, 8u}" "{1u, 2u, 3u, 4u, 6u, 8u}")
toy_edit(tests/kernels/random_matrix.h "{1, 2, 3, 4, 8}" "{1, 2, 3, 4, 6, 8}")
toy_edit(tests/kernels/random_matrix.h "rng() % 5]" "rng() % 6]")
toy_edit(tests/kernels/random_matrix.h
         "return static_cast<uint8_t>(RandomEntry(TableKind::kExtreme, rng));"
         "if (format.bits == 6) return static_cast<uint8_t>(rng() % 64 - 32);
  return static_cast<uint8_t>(RandomEntry(TableKind::kExtreme, rng));")
