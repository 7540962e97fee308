// gpt-oss: sinks, windows in every second layer, experts with biases and a
// gate of their own.

#include "packer/architectures/architecture.h"
#include "packer/architectures/decoder_config.h"
#include "packer/architectures/experts.h"

namespace lutra::packer {
namespace {

// (up + 1) * gate * sigmoid(alpha * gate), gate at most `limit`, up within it.
std::string Combine(Decoder& d, const std::string& gate, const std::string& up,
                    double alpha, double limit) {
  GraphBuilder& graph = d.graph();
  Node& high = graph.Add(OpType::kClamp, {gate}, gate + ".clamped");
  high.attributes["high"] = limit;
  Node& both = graph.Add(OpType::kClamp, {up}, up + ".clamped");
  both.attributes["low"] = -limit;
  both.attributes["high"] = limit;
  const std::string sigmoid =
      graph.Output(OpType::kSigmoid,
                   {graph.Scale(gate + ".scaled", gate + ".clamped", alpha)},
                   gate + ".sigmoid");
  const std::string glu = graph.Output(
      OpType::kMul, {gate + ".clamped", sigmoid}, d.Value("experts.glu"));
  const std::string product = graph.Output(OpType::kMul, {up + ".clamped", glu},
                                           d.Value("experts.product"));
  return graph.Output(OpType::kAdd, {product, glu}, d.Value("experts.active"));
}

Network BuildGptOss(const JsonObject& config) {
  DecoderDefaults defaults;
  defaults.context = 131072;
  defaults.theta = 150000;
  defaults.eps = 1e-5;
  defaults.kv_heads = 8;
  defaults.head_dim = 64;
  DecoderConfig decoder = ReadDecoder(config, defaults);
  decoder.query_key_value_bias = config.Bool("attention_bias", true);
  decoder.attention_output_bias = decoder.query_key_value_bias;
  decoder.sinks = true;
  ReadKinds(
      config,
      [](int64_t i) { return i % 2 == 0 ? kSlidingAttention : kFullAttention; },
      decoder);
  SetWindow(ReadWindow(config, 128), decoder);
  ReadRope(config, defaults, decoder);
  Experts experts = ReadExperts(config, decoder, 128, 4);
  experts.hidden = decoder.layers[0].hidden;
  experts.stored = Experts::Stored::kTurns;
  experts.router = "mlp.router";
  experts.router_bias = true;
  experts.bias = true;
  const double alpha = config.Number("swiglu_alpha", 0, 1e6, 1.702);
  const double limit = config.Number("swiglu_limit", 0, 1e6, 7);
  experts.combine = [alpha, limit](Decoder& d, const std::string& gate,
                                   const std::string& up) {
    return Combine(d, gate, up, alpha, limit);
  };
  decoder.feed = [experts](Decoder& d, size_t, const std::string& x) {
    return Route(d, experts, x, x);
  };
  return Decoder::Build(decoder);
}

}  // namespace

const Architecture kGptOss = {"GptOssForCausalLM", "gpt_oss",
                              "gpt-oss 20B, 120B (experts in MXFP4 or floats)",
                              BuildGptOss};

}  // namespace lutra::packer
