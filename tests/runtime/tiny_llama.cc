#include "tests/runtime/tiny_llama.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>

#include "lutra/kernels/lut_matrix.h"
#include "lutra/runtime/model.h"
#include "tests/kernels/random_matrix.h"

namespace lutra {
namespace {

constexpr double kEps = 1e-5;

using Matrix = std::vector<double>;  // [rows, columns]

// The weight of a name is always the same.
uint32_t Seed(const std::string& name) {
  uint32_t seed = 17;
  for (const char c : name) seed = seed * 31 + static_cast<uint8_t>(c);
  return seed;
}

kernels::RandomMatrix Packed(const std::string& name, size_t n, size_t k,
                             uint32_t bits) {
  std::mt19937 rng(Seed(name));
  return kernels::MakeRandomMatrix({.n = static_cast<uint32_t>(n),
                                    .k = static_cast<uint32_t>(k),
                                    .bits = bits,
                                    .group_size = 16},
                                   kernels::TableKind::kSmall, rng);
}

std::vector<float> Floats(const std::string& name, size_t n, size_t k) {
  return RandomFloats(n * k, Seed(name),
                      1.0f / std::sqrt(static_cast<float>(k)));
}

std::vector<float> NormWeight(const std::string& name, size_t n) {
  auto w = RandomFloats(n, Seed(name), 0.1f);
  for (float& v : w) v += 1.0f;
  return w;
}

std::vector<float> Frequencies(size_t rotary_dim) {
  std::vector<float> frequencies;
  for (size_t i = 0; i < rotary_dim; i += 2) {
    frequencies.push_back(static_cast<float>(std::pow(
        10000.0, -static_cast<double>(i) / static_cast<double>(rotary_dim))));
  }
  return frequencies;
}

Matrix Weight(const TinyLlama& model, const std::string& name, size_t n,
              size_t k) {
  std::vector<float> w(n * k);
  if (model.bits == 0) {
    w = Floats(name, n, k);
  } else {
    const auto packed = Packed(name, n, k, model.bits);
    for (uint32_t row = 0; row < n; ++row) {
      kernels::DequantizeRow(packed.matrix, row, &w[row * k]);
    }
  }
  return {w.begin(), w.end()};
}

Matrix Multiply(const Matrix& x, const Matrix& w, size_t k) {
  const size_t n = w.size() / k;
  const size_t m = x.size() / k;
  Matrix y(m * n);
  for (size_t i = 0; i < m * n; ++i) {
    for (size_t c = 0; c < k; ++c) y[i] += x[i / n * k + c] * w[i % n * k + c];
  }
  return y;
}

Matrix RmsNorm(const Matrix& x, const std::vector<float>& w) {
  Matrix y(x.size());
  for (size_t begin = 0; begin < x.size(); begin += w.size()) {
    double sum = 0;
    for (size_t i = 0; i < w.size(); ++i) sum += x[begin + i] * x[begin + i];
    const double scale =
        1 / std::sqrt(sum / static_cast<double>(w.size()) + kEps);
    for (size_t i = 0; i < w.size(); ++i) {
      y[begin + i] = x[begin + i] * scale * double{w[i]};
    }
  }
  return y;
}

void Rotate(const TinyLlama& model, Matrix& x, size_t heads) {
  const auto frequencies = Frequencies(model.rotary_dim);
  const size_t pairs = frequencies.size();
  for (size_t head = 0; head < x.size() / model.head_dim; ++head) {
    const double position = static_cast<double>(head / heads);
    double* values = &x[head * model.head_dim];
    for (size_t i = 0; i < pairs; ++i) {
      const bool half = model.pairing == "half";
      double& a = values[half ? i : 2 * i];
      double& b = values[half ? i + pairs : 2 * i + 1];
      const double angle = position * double{frequencies[i]};
      const double rotated = a * std::cos(angle) - b * std::sin(angle);
      b = b * std::cos(angle) + a * std::sin(angle);
      a = rotated;
    }
  }
}

Matrix Attend(const TinyLlama& model, const Matrix& q, const Matrix& k,
              const Matrix& v) {
  const size_t dim = model.head_dim;
  const size_t tokens = q.size() / (model.heads * dim);
  Matrix y(q.size());
  for (size_t t = 0; t < tokens; ++t) {
    for (size_t h = 0; h < model.heads; ++h) {
      const size_t kv = h / (model.heads / model.kv_heads);
      const double* query = &q[(t * model.heads + h) * dim];
      // Of tokens out of the window the weight is 0.
      std::vector<double> scores(t + 1,
                                 -std::numeric_limits<double>::infinity());
      std::vector<double> weights(t + 1);
      double sum = 0;
      for (size_t s = 0; s <= t; ++s) {
        if (model.window != 0 && s + model.window <= t) continue;
        double score = 0;
        for (size_t d = 0; d < dim; ++d) {
          score += query[d] * k[(s * model.kv_heads + kv) * dim + d];
        }
        scores[s] = score / std::sqrt(static_cast<double>(dim));
      }
      const double largest = *std::max_element(scores.begin(), scores.end());
      for (size_t s = 0; s <= t; ++s) {
        weights[s] = std::exp(scores[s] - largest);
        sum += weights[s];
      }
      for (size_t s = 0; s <= t; ++s) {
        for (size_t d = 0; d < dim; ++d) {
          y[(t * model.heads + h) * dim + d] +=
              weights[s] / sum * v[(s * model.kv_heads + kv) * dim + d];
        }
      }
    }
  }
  return y;
}

std::string Layer(size_t i, const char* name) {
  return std::string("layers.") + std::to_string(i) + "." + name;
}

}  // namespace

ModelBuilder TinyLlama::Build() const {
  ModelBuilder b;
  const auto weight = [&](const std::string& name, size_t n, size_t k) {
    if (bits == 0) {
      b.Floats(name, {static_cast<int64_t>(n), static_cast<int64_t>(k)},
               Floats(name, n, k));
    } else {
      const auto packed = Packed(name, n, k, bits);
      b.Packed(name, {packed.blob.get(), packed.blob_bytes});
    }
    return name;
  };
  const auto linear = [&](const std::string& x, const std::string& name,
                          size_t n, size_t k) {
    b.Add(OpType::kLinear, {x}, name, weight(name + ".weight", n, k));
    return name;
  };
  const auto norm = [&](const std::string& x, const std::string& name) {
    b.Floats(name + ".weight", {static_cast<int64_t>(width)},
             NormWeight(name + ".weight", width));
    b.Add(OpType::kRmsNorm, {x}, name, name + ".weight").Set("eps", kEps);
    return name;
  };
  const auto rope = [&](const std::string& x) {
    b.Add(OpType::kRope, {x}, x + ".rope", "frequencies")
        .Set("head_dim", static_cast<double>(head_dim))
        .Set("pairing", pairing);
    return x + ".rope";
  };
  const auto frequencies = Frequencies(rotary_dim);
  b.Floats("frequencies", {static_cast<int64_t>(frequencies.size())},
           frequencies);
  b.Metadata(kContextLengthKey, std::to_string(context));
  b.Input("ids", {}, ValueType::kInt32);
  b.Add(OpType::kEmbedding, {"ids"}, "x",
        weight("embedding", vocabulary, width));
  std::string x = "x";
  const auto add = [&](const std::string& y) {
    b.Add(OpType::kAdd, {x, y}, y + ".sum");
    x = y + ".sum";
  };
  const size_t q_size = heads * head_dim;
  const size_t kv_size = kv_heads * head_dim;
  for (size_t i = 0; i < layers; ++i) {
    const std::string h = norm(x, Layer(i, "attention_norm"));
    const std::string q = rope(linear(h, Layer(i, "q"), q_size, width));
    const std::string k = rope(linear(h, Layer(i, "k"), kv_size, width));
    const std::string v = linear(h, Layer(i, "v"), kv_size, width);
    b.Add(OpType::kAttention, {q, k, v}, Layer(i, "attention"))
        .Set("heads", static_cast<double>(heads))
        .Set("kv_heads", static_cast<double>(kv_heads))
        .Set("window", static_cast<double>(window));
    add(linear(Layer(i, "attention"), Layer(i, "o"), width, q_size));
    const std::string f = norm(x, Layer(i, "ffn_norm"));
    const std::string gate = linear(f, Layer(i, "gate"), hidden, width);
    const std::string up = linear(f, Layer(i, "up"), hidden, width);
    b.Add(OpType::kSilu, {gate}, gate + ".silu");
    b.Add(OpType::kMul, {gate + ".silu", up}, Layer(i, "product"));
    add(linear(Layer(i, "product"), Layer(i, "down"), width, hidden));
  }
  b.Add(OpType::kLinear, {norm(x, "norm")}, "logits", "embedding");
  b.Output("logits");
  return b;
}

std::vector<double> TinyLlama::Run(std::span<const int32_t> ids) const {
  const auto linear = [&](const Matrix& x, const std::string& name, size_t n,
                          size_t k) {
    return Multiply(x, Weight(*this, name + ".weight", n, k), k);
  };
  const Matrix embedding = Weight(*this, "embedding", vocabulary, width);
  Matrix x;
  for (const int32_t id : ids) {
    const auto row = embedding.begin() + id * static_cast<ptrdiff_t>(width);
    x.insert(x.end(), row, row + static_cast<ptrdiff_t>(width));
  }
  const auto add = [&](const Matrix& y) {
    for (size_t i = 0; i < x.size(); ++i) x[i] += y[i];
  };
  const size_t q_size = heads * head_dim;
  const size_t kv_size = kv_heads * head_dim;
  for (size_t i = 0; i < layers; ++i) {
    const auto norm = [&](const char* name) {
      return RmsNorm(x, NormWeight(Layer(i, name) + ".weight", width));
    };
    const Matrix h = norm("attention_norm");
    Matrix q = linear(h, Layer(i, "q"), q_size, width);
    Matrix k = linear(h, Layer(i, "k"), kv_size, width);
    Rotate(*this, q, heads);
    Rotate(*this, k, kv_heads);
    const Matrix v = linear(h, Layer(i, "v"), kv_size, width);
    add(linear(Attend(*this, q, k, v), Layer(i, "o"), width, q_size));
    const Matrix f = norm("ffn_norm");
    Matrix gate = linear(f, Layer(i, "gate"), hidden, width);
    const Matrix up = linear(f, Layer(i, "up"), hidden, width);
    for (size_t j = 0; j < gate.size(); ++j) {
      gate[j] *= up[j] / (1 + std::exp(-gate[j]));
    }
    add(linear(gate, Layer(i, "down"), width, hidden));
  }
  return Multiply(RmsNorm(x, NormWeight("norm.weight", width)), embedding,
                  width);
}

std::vector<int32_t> RandomIds(size_t count, size_t vocabulary, uint32_t seed) {
  std::mt19937 rng(seed);
  std::vector<int32_t> ids(count);
  for (int32_t& id : ids) id = static_cast<int32_t>(rng() % vocabulary);
  return ids;
}

}  // namespace lutra
