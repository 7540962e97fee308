// Writes a detector of loud frames and a recording with two loud parts, and
// prints where these are as examples/speech.c does.
//
//   make_install_speech MODEL WAV

#include <cstdint>
#include <cstdio>
#include <fstream>
#include <string>
#include <vector>

#include "tests/runtime/model_builder.h"

namespace {

constexpr size_t kFrame = 160;  // 10 ms

void Append(std::string& bytes, uint32_t value, int count) {
  for (int i = 0; i < count; ++i, value >>= 8) {
    bytes += static_cast<char>(value & 255);
  }
}

std::string Wav(const std::vector<int16_t>& samples) {
  const auto size = static_cast<uint32_t>(2 * samples.size());
  std::string bytes = "RIFF";
  Append(bytes, size + 46, 4);
  bytes += "WAVELIST";  // a chunk of an odd size, which is padded
  Append(bytes, 1, 4);
  bytes += std::string(2, '\0') + "fmt ";
  Append(bytes, 16, 4);
  for (const uint32_t value : {1u, 1u}) Append(bytes, value, 2);
  for (const uint32_t value : {16000u, 32000u}) Append(bytes, value, 4);
  for (const uint32_t value : {2u, 16u}) Append(bytes, value, 2);
  bytes += "data";
  Append(bytes, size, 4);
  for (const int16_t sample : samples) {
    Append(bytes, static_cast<uint16_t>(sample), 2);
  }
  return bytes;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  // sigmoid(mean of squares * 1000 - 1)
  lutra::ModelBuilder()
      .Input("x", {kFrame})
      .Add(lutra::OpType::kMul, {"x", "x"}, "square")
      .Add(lutra::OpType::kLinear, {"square"}, "loud", "w", "b")
      .Add(lutra::OpType::kSigmoid, {"loud"}, "y")
      .Output("y")
      .Floats("w", {1, kFrame}, std::vector<float>(kFrame, 1000.0f / kFrame))
      .Floats("b", {1}, std::vector<float>{-1.0f})
      .Write(argv[1]);
  // Loud in 0.1 to 0.2 s, from 0.25 s on (a pause too short to count), and
  // from 0.5 s to the end, which is not the end of a frame.
  std::vector<int16_t> samples(16000 * 6 / 10 - 40);
  for (size_t i = 0; i < samples.size(); ++i) {
    const size_t ms = i / 16;
    const bool loud =
        (ms >= 100 && ms < 200) || (ms >= 250 && ms < 300) || ms >= 500;
    samples[i] = static_cast<int16_t>(loud ? (i % 2 ? -8000 : 8000) : 100);
  }
  std::ofstream(argv[2], std::ios::binary) << Wav(samples);
  std::printf("%.3f s to %.3f s\n%.3f s to %.3f s\n", 0.1, 0.3, 0.5,
              static_cast<double>(samples.size()) / 16000);
  return 0;
}
