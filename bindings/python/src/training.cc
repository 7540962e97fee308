#include <nanobind/nanobind.h>
#include <nanobind/stl/map.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "bindings/python/src/arrays.h"
#include "bindings/python/src/module.h"
#include "lutra/qat/base_optimizers.h"
#include "lutra/qat/prox_maps.h"
#include "lutra/qat/quant_optimizer.h"
#include "lutra/qat/quantizers.h"
#include "lutra/runtime/error.h"
#include "runtime/base/threads.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace lutra::python {
namespace {

struct PyQuantizer {
  std::shared_ptr<const qat::Quantizer> quantizer;
};

struct PyProxMap {
  std::shared_ptr<const qat::ProxMap> map;
};

// The grids' view of an array: a row for each index of the first dimension, or
// all of it.
qat::GridView ViewOf(const float* values, const FloatArray& array,
                     bool per_row) {
  if (!per_row || array.ndim() < 2) return {values, 1, array.size(), false};
  const size_t rows = array.shape(0);
  return {values, rows, rows == 0 ? 0 : array.size() / rows, true};
}

nb::object Quantize(const PyQuantizer& self, nb::handle values, int bits,
                    bool per_row) {
  const FloatArray p = ReadFloats(values, "values");
  const size_t levels = self.quantizer->GridSize(bits);
  if (p.size() == 0) throw Error("there are no values");
  const qat::GridView view = ViewOf(p.data(), p, per_row);
  std::vector<size_t> shape(p.ndim());
  for (size_t i = 0; i < shape.size(); ++i) shape[i] = p.shape(i);
  const NewArray q = MakeArray(shape);
  const NewArray grid =
      MakeArray(view.per_row ? std::vector<size_t>{view.rows, levels}
                             : std::vector<size_t>{levels});
  {
    const nb::gil_scoped_release release;
    self.quantizer->Quantize(view, bits, q.data, grid.data);
  }
  return nb::make_tuple(q.array, grid.array);
}

// How a group of Python and one of lutra name their fields.
template <typename Group, typename Visit>
void ForFields(Group& group, const Visit& visit) {
  visit("quant_bits", group.quant_bits);
  visit("quant_block_size", group.quant_block_size);
  visit("cumu_lr", group.cumu_lr);
  visit("initial_wd", group.initial_weight_decay);
  visit("inv_slope", group.inv_slope);
  visit("num_steps", group.num_steps);
}

// The optimizer that is wrapped, in Python: a step of it changes the caller's
// arrays, so latent weights are put there meanwhile.
class PythonOptimizer : public qat::Optimizer {
 public:
  explicit PythonOptimizer(std::vector<qat::ParamGroup> groups)
      : groups_(std::move(groups)) {}

  std::string name() const override { return "python"; }

  // On the thread that called Python.
  void Step(Executor* /*executor*/) override {
    for (const auto& [parameter, array] : Moved()) {
      std::copy_n(parameter->value, parameter->size(), array);
    }
    {
      const nb::gil_scoped_acquire acquire;
      step();
    }
    for (const auto& [parameter, array] : Moved()) {
      std::copy_n(array, parameter->size(), parameter->value);
    }
  }

  std::vector<qat::ParamGroup>& groups() override { return groups_; }
  std::map<std::string, qat::ParameterState>& state() override {
    return state_;
  }
  void CheckState(const qat::ParamGroup&, const qat::Parameter&,
                  const qat::ParameterState&,
                  std::set<std::string>&) const override {}

  nb::callable step;
  std::map<std::string, float*> arrays;  // the callers', by parameter

 private:
  // Parameters whose values are not the callers' arrays now.
  std::vector<std::pair<qat::Parameter*, float*>> Moved() {
    std::vector<std::pair<qat::Parameter*, float*>> moved;
    for (qat::ParamGroup& group : groups_) {
      for (qat::Parameter& parameter : group.parameters) {
        float* const array = arrays.at(parameter.name);
        if (parameter.value != array) moved.emplace_back(&parameter, array);
      }
    }
    return moved;
  }

  std::vector<qat::ParamGroup> groups_;
  std::map<std::string, qat::ParameterState> state_;
};

std::string NameOf(size_t group, size_t parameter) {
  return std::to_string(group) + "." + std::to_string(parameter);
}

// What lutra/qat.py makes a QuantOptimizer of. Groups are the dictionaries of
// an optimizer like torch's; arrays are those of their parameters, which the
// caller owns.
class QuantCore {
 public:
  QuantCore(const nb::list& groups, const nb::list& arrays,
            const PyQuantizer& quantizer, const PyProxMap& map,
            qat::QuantOptimizerOptions options, size_t threads)
      : executor_(StartThreads(threads)) {
    std::vector<qat::ParamGroup> made(groups.size());
    std::vector<WritableFloats> held;
    for (size_t i = 0; i < made.size(); ++i) {
      const nb::list of_group = nb::cast<nb::list>(arrays[i]);
      for (size_t j = 0; j < of_group.size(); ++j) {
        held.push_back(Read(of_group[j], i, j));
        qat::Parameter parameter;
        parameter.name = NameOf(i, j);
        for (size_t k = 0; k < held.back().ndim(); ++k) {
          parameter.shape.push_back(static_cast<int64_t>(held.back().shape(k)));
        }
        parameter.value = held.back().data();
        made[i].parameters.push_back(std::move(parameter));
      }
      ReadGroup(nb::cast<nb::dict>(groups[i]), made[i]);
    }
    auto base = std::make_unique<PythonOptimizer>(std::move(made));
    base_ = base.get();
    optimizer_ = std::make_unique<qat::QuantOptimizer>(
        std::move(base), quantizer.quantizer, map.map, std::move(options));
    WriteGroups(groups);
  }

  // `trainable` has a flag for each array. The GIL is held.
  void Step(const nb::list& groups, const nb::list& arrays,
            const nb::list& trainable, nb::callable step) {
    std::vector<WritableFloats> held;
    if (groups.size() != base_->groups().size()) {
      throw Error("the optimizer has other groups than at the start");
    }
    for (size_t i = 0; i < groups.size(); ++i) {
      qat::ParamGroup& group = base_->groups()[i];
      const nb::list of_group = nb::cast<nb::list>(arrays[i]);
      if (of_group.size() != group.parameters.size()) {
        throw Error("the optimizer has other parameters than at the start");
      }
      for (size_t j = 0; j < of_group.size(); ++j) {
        qat::Parameter& parameter = group.parameters[j];
        held.push_back(Read(of_group[j], i, j));
        if (held.back().size() != parameter.size()) {
          throw Error("parameter " + parameter.name +
                      " has another shape "
                      "than at the start");
        }
        parameter.value = held.back().data();
        parameter.trainable =
            nb::cast<bool>(nb::cast<nb::list>(trainable[i])[j]);
        base_->arrays[parameter.name] = parameter.value;
      }
      ReadGroup(nb::cast<nb::dict>(groups[i]), group);
    }
    base_->step = std::move(step);
    try {
      const nb::gil_scoped_release release;
      optimizer_->Step(executor_.get());
    } catch (...) {
      base_->step.reset();
      throw;
    }
    base_->step.reset();
    WriteGroups(groups);
  }

  // A copy of an entry of the state ("latent", "quants"), flat; None before it
  // appears.
  nb::object Entry(size_t group, size_t parameter,
                   const std::string& entry) const {
    const auto& state = base_->state();
    const auto of_parameter = state.find(NameOf(group, parameter));
    if (of_parameter == state.end()) return nb::none();
    const auto found = of_parameter->second.find(entry);
    if (found == of_parameter->second.end()) return nb::none();
    return CopyToArray(found->second, {found->second.size()});
  }

  void SetEntry(size_t group, size_t parameter, const std::string& entry,
                nb::handle values) {
    const FloatArray array = ReadFloats(values, entry);
    const auto& parameters = base_->groups().at(group).parameters;
    if (entry == "latent" && array.size() != parameters.at(parameter).size()) {
      throw Error("the latent weights of parameter " +
                  NameOf(group, parameter) + " have another size");
    }
    base_->state()[NameOf(group, parameter)][entry].assign(
        array.data(), array.data() + array.size());
  }

 private:
  static WritableFloats Read(nb::handle array, size_t group, size_t parameter) {
    return ReadWritable(array, "parameter " + NameOf(group, parameter));
  }

  static void ReadGroup(const nb::dict& from, qat::ParamGroup& group) {
    group.lr = nb::cast<double>(from["lr"]);
    group.weight_decay = from.contains("weight_decay")
                             ? nb::cast<double>(from["weight_decay"])
                             : 0.0;
    ForFields(group, [&](const char* name, auto& field) {
      using Value = typename std::decay_t<decltype(field)>::value_type;
      field.reset();
      if (!from.contains(name) || from[name].is_none()) return;
      field = nb::cast<Value>(from[name]);
    });
  }

  void WriteGroups(const nb::list& groups) {
    for (size_t i = 0; i < groups.size(); ++i) {
      nb::dict to = nb::cast<nb::dict>(groups[i]);
      const qat::ParamGroup& group = base_->groups()[i];
      if (!qat::IsQuantized(group)) continue;
      to["weight_decay"] = group.weight_decay;
      ForFields(group, [&](const char* name, const auto& field) {
        if (field) to[name] = *field;
      });
    }
  }

  std::unique_ptr<Executor> executor_;
  std::unique_ptr<qat::QuantOptimizer> optimizer_;
  PythonOptimizer* base_ = nullptr;  // of optimizer_
};

// A step of SGD, Adam or AdamW over arrays; what lutra/qat.py makes these of.
class BaseCore {
 public:
  BaseCore(const std::string& kind, const nb::list& groups,
           const nb::list& arrays, const nb::dict& options, size_t threads)
      : executor_(StartThreads(threads)) {
    std::vector<qat::ParamGroup> made(groups.size());
    for (size_t i = 0; i < made.size(); ++i) {
      const nb::list of_group = nb::cast<nb::list>(arrays[i]);
      for (size_t j = 0; j < of_group.size(); ++j) {
        const WritableFloats array =
            ReadWritable(of_group[j], "parameter " + NameOf(i, j));
        qat::Parameter parameter;
        parameter.name = NameOf(i, j);
        for (size_t k = 0; k < array.ndim(); ++k) {
          parameter.shape.push_back(static_cast<int64_t>(array.shape(k)));
        }
        parameter.value = array.data();
        made[i].parameters.push_back(std::move(parameter));
      }
    }
    const auto number = [&](const char* name) {
      return nb::cast<double>(options[name]);
    };
    if (kind == "sgd") {
      optimizer_ = qat::MakeSgd(std::move(made),
                                {number("momentum"), number("dampening"),
                                 nb::cast<bool>(options["nesterov"])});
      return;
    }
    const qat::AdamOptions adam{number("beta1"), number("beta2"),
                                number("eps")};
    optimizer_ = kind == "adam" ? qat::MakeAdam(std::move(made), adam)
                                : qat::MakeAdamW(std::move(made), adam);
  }

  // `gradients` has an array, or None, for each parameter.
  void Step(const nb::list& groups, const nb::list& arrays,
            const nb::list& gradients) {
    std::vector<WritableFloats> values;
    std::vector<FloatArray> slopes;
    for (size_t i = 0; i < groups.size(); ++i) {
      qat::ParamGroup& group = optimizer_->groups().at(i);
      const nb::dict from = nb::cast<nb::dict>(groups[i]);
      group.lr = nb::cast<double>(from["lr"]);
      group.weight_decay = nb::cast<double>(from["weight_decay"]);
      const nb::list of_group = nb::cast<nb::list>(arrays[i]);
      const nb::list slopes_of_group = nb::cast<nb::list>(gradients[i]);
      for (size_t j = 0; j < group.parameters.size(); ++j) {
        qat::Parameter& parameter = group.parameters[j];
        const std::string what = "parameter " + parameter.name;
        values.push_back(ReadWritable(of_group[j], what));
        if (values.back().size() != parameter.size()) {
          throw Error(what + " has another shape than at the start");
        }
        parameter.value = values.back().data();
        parameter.grad = nullptr;
        if (slopes_of_group[j].is_none()) continue;
        slopes.push_back(
            ReadFloats(slopes_of_group[j], "the gradient of " + what));
        if (slopes.back().size() != parameter.size()) {
          throw Error("the gradient of " + what + " has another shape");
        }
        parameter.grad = slopes.back().data();
      }
    }
    const nb::gil_scoped_release release;
    optimizer_->Step(executor_.get());
  }

 private:
  std::unique_ptr<Executor> executor_;
  std::unique_ptr<qat::Optimizer> optimizer_;
};

PyQuantizer Uniform(bool center, const std::string& scale_method,
                    double int_shift, double zero_point) {
  if (scale_method != "mean" && scale_method != "max") {
    throw Error("scale_method is 'mean' or 'max', not '" + scale_method + "'");
  }
  qat::UniformOptions options;
  options.center = center;
  options.scale = scale_method == "mean" ? qat::UniformOptions::Scale::kMean
                                         : qat::UniformOptions::Scale::kMax;
  options.int_shift = int_shift;
  options.zero_point = zero_point;
  return {qat::MakeUniformQuantizer(options)};
}

}  // namespace

void BindTraining(nb::module_& module) {
  nb::class_<PyQuantizer>(module, "Quantizer",
                          "A quantizer of docs/qat.md: from values to the "
                          "levels of a grid.")
      .def(
          "__init__",
          [](PyQuantizer* self, const std::string& name) {
            new (self) PyQuantizer{qat::MakeQuantizer(name)};
          },
          "name"_a, "By its name, e.g. 'stretched', 'lsbq', 'intx'.")
      .def_static(
          "lsbq",
          [](bool center, bool optimal, double ternary_multiplier) {
            return PyQuantizer{qat::MakeLsbqQuantizer(
                {center, optimal, ternary_multiplier, false})};
          },
          "center"_a = false, "optimal"_a = false, "ternary_multiplier"_a = 1.1)
      .def_static("uniform", &Uniform, "center"_a = false,
                  "scale_method"_a = "mean", "int_shift"_a = 0.5,
                  "zero_point"_a = 0.5)
      .def_static(
          "ternary",
          [](bool center) {
            return PyQuantizer{qat::MakeTernaryQuantizer(center)};
          },
          "center"_a = false)
      .def_prop_ro(
          "name",
          [](const PyQuantizer& self) {
            return std::string(self.quantizer->name());
          },
          "As in model files and rules.")
      .def(
          "grid_size",
          [](const PyQuantizer& self, int bits) {
            return self.quantizer->GridSize(bits);
          },
          "bits"_a, "How many levels a grid has; 0 bits: ternary.")
      .def("quantize", &Quantize, "values"_a, "bits"_a, nb::kw_only(),
           "per_row"_a = false,
           nb::sig("def quantize(self, values: typing.Any, bits: int, *, "
                   "per_row: bool = False) -> tuple[numpy.ndarray, "
                   "numpy.ndarray]"),
           "The quantized values and their grids: one, [levels], or one for "
           "each row,\n[rows, levels].");
  nb::class_<PyProxMap>(module, "ProxMap", "A proximal map of docs/qat.md.")
      .def_static("hard", [] { return PyProxMap{qat::MakeProxHardQuant()}; })
      .def_static(
          "parq",
          [](int64_t start, int64_t end, double steepness, double center) {
            return PyProxMap{
                qat::MakeProxParq({start, end, steepness, center})};
          },
          "start"_a, "end"_a, "steepness"_a = 10.0, "center"_a = 0.5)
      .def_static(
          "binary_relax",
          [](int64_t start, int64_t end) {
            return PyProxMap{qat::MakeProxBinaryRelax(start, end)};
          },
          "start"_a, "end"_a);
  nb::class_<QuantCore>(module, "QuantCore",
                        "What QuantOptimizer of lutra/qat.py is made of.")
      .def(
          "__init__",
          [](QuantCore* self, const nb::list& groups, const nb::list& arrays,
             const PyQuantizer& quantizer, const PyProxMap& map,
             int64_t warmup_steps, int64_t quant_period, bool per_channel,
             bool shrink, double anneal_wd_frac,
             const std::map<int, PyQuantizer>& group_quantizers,
             bool short_last_blocks, size_t threads) {
            qat::QuantOptimizerOptions options;
            options.warmup_steps = warmup_steps;
            options.quant_period = quant_period;
            options.per_channel = per_channel;
            options.shrink = shrink;
            options.anneal_wd_frac = anneal_wd_frac;
            options.short_last_blocks = short_last_blocks;
            for (const auto& [index, own] : group_quantizers) {
              options.group_quantizers[index] = own.quantizer;
            }
            new (self) QuantCore(groups, arrays, quantizer, map,
                                 std::move(options), threads);
          },
          "groups"_a, "arrays"_a, "quantizer"_a, "prox_map"_a, "warmup_steps"_a,
          "quant_period"_a, "per_channel"_a, "shrink"_a, "anneal_wd_frac"_a,
          "group_quantizers"_a, "short_last_blocks"_a, "threads"_a)
      .def("step", &QuantCore::Step, "groups"_a, "arrays"_a, "trainable"_a,
           "step"_a)
      .def("entry", &QuantCore::Entry, "group"_a, "parameter"_a, "entry"_a,
           nb::sig("def entry(self, group: int, parameter: int, entry: str) "
                   "-> numpy.ndarray | None"))
      .def("set_entry", &QuantCore::SetEntry, "group"_a, "parameter"_a,
           "entry"_a, "values"_a);
  nb::class_<BaseCore>(module, "BaseCore",
                       "What SGD, Adam and AdamW of lutra/qat.py are made of.")
      .def(nb::init<const std::string&, const nb::list&, const nb::list&,
                    const nb::dict&, size_t>(),
           "kind"_a, "groups"_a, "arrays"_a, "options"_a, "threads"_a)
      .def("step", &BaseCore::Step, "groups"_a, "arrays"_a, "gradients"_a);
}

}  // namespace lutra::python
