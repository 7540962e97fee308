// Operators on constants alone: tables of angles, masks and shapes that
// exporters leave in the graph are computed here.

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>
#include <utility>

#include "lutra/runtime/error.h"
#include "packer/import/network/broadcast.h"
#include "packer/import/onnx/onnx_node.h"

namespace lutra::packer {
namespace {

// Multiplications of a product of constants.
constexpr int64_t kMostWork = int64_t{1} << 28;

void CheckCount(const View& view) {
  if (static_cast<int64_t>(RowElements(view)) > kMostComputed) {
    throw Unsupported{
        "more than 2^20 numbers that are computed from constants"};
  }
}

Constant At(const OnnxContext& node, size_t input) {
  Constant constant = node.ConstantAt(input);
  CheckCount(constant.view);
  node.net().Spend(static_cast<double>(constant.Count()));
  return constant;
}

void SetFolded(OnnxContext& node, Constant constant) {
  node.net().Spend(static_cast<double>(constant.Count()));
  constant.name = node.node().outputs[0];
  node.SetOutput(std::move(constant));
}

template <typename T>
void SetFolded(OnnxContext& node, std::vector<T> values,
               const std::vector<int64_t>& shape) {
  SetFolded(node, MakeConstant("", Elements::Of(std::move(values)), shape));
}

// Nothing is known of the size of a batch, which shapes carry along.
float Known(float x) { return x; }
int64_t Known(int64_t x) {
  if (IsUnknownSize(x)) {
    throw Unsupported{"a size computed from that of the batch"};
  }
  return x;
}

// ---- Elementwise ----

template <float (*kFunction)(float)>
void Map(OnnxContext& node) {
  const Constant x = At(node, 0);
  if (!x.is_float()) throw Error("takes floats alone");
  std::vector<float> values = x.Floats();
  for (float& value : values) value = kFunction(value);
  SetFolded(node, std::move(values), ShapeOf(x.view));
}

float Cosine(float x) { return std::cos(x); }
float Sine(float x) { return std::sin(x); }
float Exponential(float x) { return std::exp(x); }
float Logarithm(float x) { return std::log(x); }
float Root(float x) { return std::sqrt(x); }
float Inverse(float x) { return 1 / x; }
float Lower(float x) { return std::floor(x); }
float Upper(float x) { return std::ceil(x); }
float Logistic(float x) { return 1 / (1 + std::exp(-x)); }
float HyperbolicTangent(float x) { return std::tanh(x); }

void Not(OnnxContext& node) {
  const Constant x = At(node, 0);
  std::vector<int64_t> values = x.Integers();
  for (int64_t& value : values) value = value == 0 ? 1 : 0;
  SetFolded(node, std::move(values), ShapeOf(x.view));
}

void FoldAbs(OnnxContext& node) {
  const Constant x = At(node, 0);
  if (x.is_float()) return Map<std::fabs>(node);
  std::vector<int64_t> values = x.Integers();
  for (int64_t& value : values)
    value = value < 0 && value > INT64_MIN ? -value : value;
  SetFolded(node, std::move(values), ShapeOf(x.view));
}

// Of two constants that both are floats or whole numbers.
template <typename Function>
void Combine(OnnxContext& node, const Function& function) {
  const Constant a = At(node, 0);
  const Constant b = At(node, 1);
  if (a.is_float() != b.is_float()) throw Error("mixes numbers of two types");
  CheckCount(BroadcastTogether(a, b).a.view);
  if (a.is_float()) return SetFolded(node, Combined<float>("", a, b, function));
  SetFolded(node, Combined<int64_t>("", a, b, function));
}

enum class Relation { kEqual, kLess, kLessOrEqual, kGreater, kGreaterOrEqual };

template <Relation kRelation>
void Compare(OnnxContext& node) {
  Combine(node, [](auto a, auto b) -> int64_t {
    // A size is not -1, which stands for one that is to be found.
    if (a != -1) (void)Known(b);
    if (b != -1) (void)Known(a);
    switch (kRelation) {
      case Relation::kEqual:
        return a == b;
      case Relation::kLess:
        return a < b;
      case Relation::kLessOrEqual:
        return a <= b;
      case Relation::kGreater:
        return a > b;
      case Relation::kGreaterOrEqual:
        return a >= b;
    }
    return 0;
  });
}

enum class Logic { kAnd, kOr, kXor };

template <Logic kLogic>
void Decide(OnnxContext& node) {
  Combine(node, [](auto a, auto b) -> int64_t {
    const bool left = a != 0;
    const bool right = b != 0;
    if (kLogic == Logic::kAnd) return left && right;
    return kLogic == Logic::kOr ? left || right : left != right;
  });
}

template <bool kMax>
void FoldBound(OnnxContext& node) {
  Combine(node,
          [](auto a, auto b) { return (Known(a) < Known(b)) == kMax ? b : a; });
}

void FoldPow(OnnxContext& node) {
  const Constant a = At(node, 0);
  Constant b = At(node, 1);
  if (!a.is_float()) throw Unsupported{"powers of whole numbers"};
  CheckCount(BroadcastTogether(a, b).a.view);
  SetFolded(node, Combined<float>("", a, b, [](float x, float y) {
              return std::pow(x, y);
            }));
}

// The remainder has the divisor's sign, or of `fmod` the dividend's.
void Mod(OnnxContext& node) {
  const bool as_c = node.Integer("fmod", 0) != 0;
  if (node.ConstantAt(0).is_float()) {
    if (!as_c) throw Error("takes floats without 'fmod'");
    return Combine(node, [](auto a, auto b) {
      return static_cast<float>(std::fmod(a, b));
    });
  }
  Combine(node, [=](auto a, auto b) -> int64_t {
    const auto x = Known(static_cast<int64_t>(a));
    const auto y = Known(static_cast<int64_t>(b));
    if (y == 0) throw Error("divides by 0");
    if (y == -1) return 0;
    const int64_t rest = x % y;
    return !as_c && rest != 0 && (rest < 0) != (y < 0) ? rest + y : rest;
  });
}

void FoldWhere(OnnxContext& node) {
  const Constant mask = At(node, 0);
  const Constant a = At(node, 1);
  const Constant b = At(node, 2);
  if (a.is_float() != b.is_float()) throw Error("mixes numbers of two types");
  // All three in one shape: that of the sum of masks and both.
  const ConstantPair pair = BroadcastTogether(a, b);
  const ConstantPair left = BroadcastTogether(mask, pair.a);
  const ConstantPair right = BroadcastTogether(mask, pair.b);
  CheckCount(left.a.view);
  const std::vector<int64_t> bits = left.a.Integers();
  const auto choose = [&](auto chosen, const auto& other) {
    for (size_t i = 0; i < bits.size(); ++i) {
      if (bits[i] == 0) chosen[i] = other[i];
    }
    SetFolded(node, std::move(chosen), left.shape);
  };
  if (a.is_float()) return choose(left.b.Floats(), right.b.Floats());
  choose(left.b.Integers(), right.b.Integers());
}

// ---- Along dimensions ----

// One triangle of each matrix; zeros elsewhere.
void Trilu(OnnxContext& node) {
  const Constant x = At(node, 0);
  const std::vector<int64_t> shape = ShapeOf(x.view);
  if (shape.size() < 2) throw Error("takes matrices alone");
  int64_t diagonal = 0;
  if (node.Has(1)) {
    const std::vector<int64_t> given = node.IntegersAt(1);
    if (given.size() != 1) throw Error("has several diagonals");
    diagonal = std::clamp(given[0], -kMostComputed, kMostComputed);
  }
  const bool upper = node.Integer("upper", 1) != 0;
  const int64_t rows = shape[shape.size() - 2];
  const int64_t columns = shape.back();
  const auto keep = [&](auto values) {
    for (size_t i = 0; i < values.size(); ++i) {
      const auto place = static_cast<int64_t>(i);
      const int64_t off = place % columns - place / columns % rows - diagonal;
      if (upper ? off < 0 : off > 0) values[i] = 0;
    }
    SetFolded(node, std::move(values), shape);
  };
  if (x.is_float()) return keep(x.Floats());
  keep(x.Integers());
}

void CumSum(OnnxContext& node) {
  const Constant x = At(node, 0);
  const std::vector<int64_t> shape = ShapeOf(x.view);
  const std::vector<int64_t> axis = node.IntegersAt(1);
  if (axis.size() != 1) throw Error("has several axes");
  const size_t dim = node.Dim(axis[0], shape.size());
  if (node.Integer("exclusive", 0) != 0 || node.Integer("reverse", 0) != 0) {
    throw Unsupported{"exclusive or reversed sums"};
  }
  int64_t inner = 1;
  for (size_t i = dim + 1; i < shape.size(); ++i) inner *= shape[i];
  const auto add = [&](auto values) {
    for (size_t i = 0; i < values.size(); ++i) {
      const auto place = static_cast<int64_t>(i);
      if (place / inner % shape[dim] == 0) continue;
      values[i] += values[i - static_cast<size_t>(inner)];
    }
    SetFolded(node, std::move(values), shape);
  };
  if (x.is_float()) return add(x.Floats());
  std::vector<int64_t> values = x.Integers();
  for (const int64_t value : values) {
    if (std::abs(Known(value)) > int64_t{1} << 31) {
      throw Error("computes with numbers above 2^31");
    }
  }
  add(std::move(values));
}

void FoldMatMul(OnnxContext& node) {
  Constant a = At(node, 0);
  Constant b = At(node, 1);
  if (!a.is_float() || !b.is_float()) throw Error("takes floats alone");
  if (a.view.dims.size() < 2 || b.view.dims.size() < 2) {
    throw Unsupported{"constant vectors in a product"};
  }
  const auto split = [](View& view) {
    Dims last(view.dims.end() - 2, view.dims.end());
    view.dims.resize(view.dims.size() - 2);
    return last;
  };
  const Dims last_a = split(a.view);
  const Dims last_b = split(b.view);
  ConstantPair pair = BroadcastTogether(a, b);
  const auto size = [](const std::vector<Axis>& dim) {
    return DimSize(dim).value_or(0);
  };
  const int64_t m = size(last_a[0]);
  const int64_t k = size(last_a[1]);
  const int64_t n = size(last_b[1]);
  if (size(last_b[0]) != k) {
    throw Error("multiplies matrices of shapes that do not fit");
  }
  pair.a.view.dims.insert(pair.a.view.dims.end(), last_a.begin(), last_a.end());
  pair.b.view.dims.insert(pair.b.view.dims.end(), last_b.begin(), last_b.end());
  CheckCount(pair.a.view);
  CheckCount(pair.b.view);
  const std::vector<float> left = pair.a.Floats();
  const std::vector<float> right = pair.b.Floats();
  std::vector<int64_t> shape = pair.shape;
  shape.push_back(m);
  shape.push_back(n);
  const int64_t matrices = std::accumulate(pair.shape.begin(), pair.shape.end(),
                                           int64_t{1}, std::multiplies<>());
  CheckCount(NaturalView(shape));
  if (matrices * m * n > kMostWork / std::max<int64_t>(k, 1)) {
    throw Unsupported{"a product of large constants"};
  }
  node.net().Spend(static_cast<double>(matrices * m * n * k) / 16);
  std::vector<float> values;
  for (int64_t p = 0; p < matrices; ++p) {
    for (int64_t i = 0; i < m; ++i) {
      for (int64_t j = 0; j < n; ++j) {
        double sum = 0;
        for (int64_t t = 0; t < k; ++t) {
          sum += double{left[static_cast<size_t>((p * m + i) * k + t)]} *
                 double{right[static_cast<size_t>((p * k + t) * n + j)]};
        }
        values.push_back(static_cast<float>(sum));
      }
    }
  }
  SetFolded(node, std::move(values), shape);
}

// Elements of a dimension at places of any shape.
void FoldGather(OnnxContext& node) {
  const Constant data = node.ConstantAt(0);
  const Constant indices = At(node, 1);
  const std::vector<int64_t> shape = ShapeOf(data.view);
  const size_t dim = node.Dim(node.Integer("axis", 0), shape.size());
  std::vector<int64_t> places = indices.Integers();
  for (int64_t& place : places) {
    if (place < -shape[dim] || place >= shape[dim]) {
      throw Error("takes element " + std::to_string(place) + " of " +
                  std::to_string(shape[dim]));
    }
    if (place < 0) place += shape[dim];
  }
  // Evenly spaced places along one dimension are a view.
  const std::vector<int64_t> index_shape = ShapeOf(indices.view);
  if (index_shape.size() <= 1 && !places.empty()) {
    const int64_t step = places.size() > 1 ? places[1] - places[0] : 1;
    bool even = true;
    for (size_t i = 1; i < places.size(); ++i) {
      even = even && places[i] - places[i - 1] == step;
    }
    auto view = even ? Sliced(data.view, dim, places[0], step,
                              static_cast<int64_t>(places.size()))
                     : std::nullopt;
    if (view) {
      if (index_shape.empty()) {
        view->dims.erase(view->dims.begin() + static_cast<std::ptrdiff_t>(dim));
      }
      Constant part = data;
      part.view = *std::move(view);
      return SetFolded(node, std::move(part));
    }
  }
  CheckCount(data.view);
  std::vector<int64_t> result(shape.begin(),
                              shape.begin() + static_cast<std::ptrdiff_t>(dim));
  result.insert(result.end(), index_shape.begin(), index_shape.end());
  result.insert(result.end(),
                shape.begin() + static_cast<std::ptrdiff_t>(dim) + 1,
                shape.end());
  if (result.size() > 8) throw Unsupported{"more than 8 dimensions"};
  CheckCount(NaturalView(result));
  size_t inner = 1;
  for (size_t i = dim + 1; i < shape.size(); ++i) {
    inner *= static_cast<size_t>(shape[i]);
  }
  const auto size = static_cast<size_t>(shape[dim]);
  const auto take = [&](const auto& from) {
    std::remove_cvref_t<decltype(from)> values;
    for (size_t o = 0; o < from.size(); o += size * inner) {
      for (const int64_t place : places) {
        const auto* at = from.data() + o + static_cast<size_t>(place) * inner;
        values.insert(values.end(), at, at + inner);
      }
    }
    SetFolded(node, std::move(values), result);
  };
  if (data.is_float()) return take(data.Floats());
  take(data.Integers());
}

// Products of each element with each, which exporters write so; others are left
// to MatMul.
void Einsum(OnnxContext& node) {
  std::string equation = node.Text("equation", "");
  std::erase(equation, ' ');
  if (equation.size() != 7 || equation[1] != ',' ||
      equation.substr(3, 2) != "->" || equation[0] == equation[2] ||
      equation[5] != equation[0] || equation[6] != equation[2]) {
    throw Unsupported{"sums other than of vectors, as i,j->ij"};
  }
  Constant a = At(node, 0);
  const Constant b = At(node, 1);
  if (!a.is_float() || !b.is_float() || a.view.dims.size() != 1 ||
      b.view.dims.size() != 1) {
    throw Error("takes other inputs than its equation");
  }
  a.view.dims.emplace_back();
  CheckCount(BroadcastTogether(a, b).a.view);
  SetFolded(node,
            Combined<float>("", a, b, [](float x, float y) { return x * y; }));
}

constexpr OnnxOperator kFolds[] = {
    {"Einsum", 2, 2, Einsum},
    {"Cos", 1, 1, Map<Cosine>},
    {"Sin", 1, 1, Map<Sine>},
    {"Exp", 1, 1, Map<Exponential>},
    {"Log", 1, 1, Map<Logarithm>},
    {"Sqrt", 1, 1, Map<Root>},
    {"Reciprocal", 1, 1, Map<Inverse>},
    {"Floor", 1, 1, Map<Lower>},
    {"Ceil", 1, 1, Map<Upper>},
    {"Sigmoid", 1, 1, Map<Logistic>},
    {"Tanh", 1, 1, Map<HyperbolicTangent>},
    {"Abs", 1, 1, FoldAbs},
    {"Not", 1, 1, Not},
    {"Equal", 2, 2, Compare<Relation::kEqual>},
    {"Less", 2, 2, Compare<Relation::kLess>},
    {"LessOrEqual", 2, 2, Compare<Relation::kLessOrEqual>},
    {"Greater", 2, 2, Compare<Relation::kGreater>},
    {"GreaterOrEqual", 2, 2, Compare<Relation::kGreaterOrEqual>},
    {"And", 2, 2, Decide<Logic::kAnd>},
    {"Or", 2, 2, Decide<Logic::kOr>},
    {"Xor", 2, 2, Decide<Logic::kXor>},
    {"Max", 2, 2, FoldBound<true>},
    {"Min", 2, 2, FoldBound<false>},
    {"Pow", 2, 2, FoldPow},
    {"Mod", 2, 2, Mod},
    {"Where", 3, 3, FoldWhere},
    {"Trilu", 1, 2, Trilu},
    {"CumSum", 2, 2, CumSum},
    {"MatMul", 2, 2, FoldMatMul},
    {"Gather", 2, 2, FoldGather},
};

}  // namespace

std::span<const OnnxOperator> OnnxFolds() { return kFolds; }

}  // namespace lutra::packer
