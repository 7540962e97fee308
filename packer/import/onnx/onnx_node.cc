#include "packer/import/onnx/onnx_node.h"

#include <algorithm>
#include <utility>

#include "lutra/runtime/error.h"

namespace lutra::packer {

bool OnnxContext::Has(size_t input) const {
  return input < node_.inputs.size() && !node_.inputs[input].empty();
}

Operand OnnxContext::Input(size_t input) const {
  if (!Has(input)) throw Error("lacks its input " + std::to_string(input));
  const std::string& name = node_.inputs[input];
  Operand operand = operands_.at(name);
  if (operand.value) {
    operand.value->sole = operand.value->sole && uses_.at(name) == 1;
  }
  return operand;
}

bool OnnxContext::IsConstant(size_t input) const {
  if (!Has(input)) return false;
  const Operand& operand = operands_.at(node_.inputs[input]);
  return operand.constant && !operand.dynamic;
}

bool OnnxContext::AllConstant() const {
  for (size_t i = 0; i < node_.inputs.size(); ++i) {
    if (Has(i) && !IsConstant(i)) return false;
  }
  return true;
}

Value OnnxContext::ValueAt(size_t input) const {
  Operand operand = Input(input);
  if (const BySizes* const values = operand.by_sizes()) {
    OpenTexts::Table table = texts_->ByPosition(node_.inputs[input], *values);
    Value value =
        network_.ByPosition(node_.inputs[input], std::move(table.values),
                            table.positions, std::move(table.view));
    operands_.insert_or_assign(node_.inputs[input],
                               Operand{std::nullopt, value});
    return value;
  }
  if (operand.scores() != nullptr) {
    throw Unsupported{
        "scores of tokens for each other, in anything but attention"};
  }
  if (operand.dynamic || (operand.value && operand.value->grid)) {
    throw Unsupported{"whole numbers of a quantized value as such"};
  }
  if (operand.value && operand.value->ids) {
    throw Unsupported{"ids that are computed with"};
  }
  if (operand.value) return *std::move(operand.value);
  throw Unsupported{"a constant where a computed value is expected"};
}

Value OnnxContext::AnyValueAt(size_t input) const {
  return IsConstant(input) ? network_.Held(ConstantAt(input)) : ValueAt(input);
}

Constant OnnxContext::ConstantAt(size_t input) const {
  Operand operand = Input(input);
  if (operand.constant && !operand.dynamic) return *std::move(operand.constant);
  throw Unsupported{"a computed value where a constant is expected"};
}

std::vector<int64_t> OnnxContext::IntegersAt(size_t input) const {
  return ConstantAt(input).Integers();
}

std::vector<int64_t> OnnxContext::ShapeAt(size_t input) const {
  const Operand operand = Input(input);
  if (const BySizes* const values = operand.by_sizes()) {
    return texts_->Sizes(*values);
  }
  return IntegersAt(input);
}

float OnnxContext::NumberAt(size_t input) const {
  const Constant constant = ConstantAt(input);
  if (constant.Count() != 1) {
    throw Error("'" + constant.name + "' is not one number");
  }
  return constant.Floats()[0];
}

const OnnxNode* OnnxContext::Maker(size_t input) const {
  if (!Has(input) || uses_.at(node_.inputs[input]) != 1) return nullptr;
  const auto found = std::find_if(
      graph_.nodes.begin(), graph_.nodes.end(), [&](const OnnxNode& node) {
        return node.outputs[0] == node_.inputs[input];
      });
  return found == graph_.nodes.end() ? nullptr : &*found;
}

const OnnxNode* OnnxContext::Reader() const {
  const std::string& output = node_.outputs[0];
  const auto uses = uses_.find(output);
  if (uses == uses_.end() || uses->second != 1) return nullptr;
  const auto found = std::find_if(
      graph_.nodes.begin(), graph_.nodes.end(), [&](const OnnxNode& node) {
        return std::find(node.inputs.begin(), node.inputs.end(), output) !=
               node.inputs.end();
      });
  return found == graph_.nodes.end() ? nullptr : &*found;
}

const Constant* OnnxContext::KnownConstant(std::string_view name) const {
  const auto found = operands_.find(name);
  if (found == operands_.end() || !found->second.constant ||
      found->second.dynamic) {
    return nullptr;
  }
  return &*found->second.constant;
}

const OnnxAttribute* OnnxContext::Find(std::string_view name,
                                       OnnxAttribute::Type type) const {
  const auto found = node_.attributes.find(name);
  if (found == node_.attributes.end()) return nullptr;
  // Files of the first versions do not say the type.
  if (found->second.type != 0 &&
      found->second.type != static_cast<int64_t>(type)) {
    throw Error("has an attribute '" + std::string(name) +
                "' of another type than the operator has");
  }
  return &found->second;
}

bool OnnxContext::HasAttribute(std::string_view name) const {
  return node_.attributes.contains(name);
}

int64_t OnnxContext::Integer(std::string_view name, int64_t otherwise) const {
  const auto* found = Find(name, OnnxAttribute::Type::kInt);
  return found == nullptr ? otherwise : found->integer;
}

float OnnxContext::Number(std::string_view name, float otherwise) const {
  const auto* found = Find(name, OnnxAttribute::Type::kFloat);
  return found == nullptr ? otherwise : found->number;
}

std::string OnnxContext::Text(std::string_view name,
                              const std::string& otherwise) const {
  const auto* found = Find(name, OnnxAttribute::Type::kString);
  return found == nullptr ? otherwise : found->text;
}

std::vector<int64_t> OnnxContext::Integers(std::string_view name) const {
  const auto* found = Find(name, OnnxAttribute::Type::kInts);
  return found == nullptr ? std::vector<int64_t>() : found->integers;
}

std::vector<std::string> OnnxContext::Texts(std::string_view name) const {
  const auto* found = Find(name, OnnxAttribute::Type::kStrings);
  return found == nullptr ? std::vector<std::string>() : found->texts;
}

const Constant& OnnxContext::Tensor(std::string_view name) const {
  const auto* found = Find(name, OnnxAttribute::Type::kTensor);
  if (found == nullptr || !found->tensor) {
    throw Error("lacks the attribute '" + std::string(name) + "'");
  }
  return *found->tensor;
}

size_t OnnxContext::Dim(int64_t axis, size_t rank) const {
  const auto count = static_cast<int64_t>(rank);
  if (axis < -count || axis >= count) {
    throw Error("has the axis " + std::to_string(axis) + " of " +
                std::to_string(rank));
  }
  return static_cast<size_t>(axis < 0 ? axis + count : axis);
}

void OnnxContext::SetOutput(Operand operand, size_t output) const {
  if (output >= node_.outputs.size() || node_.outputs[output].empty()) return;
  (void)RowElements(operand.view());  // which has a limit
  operands_.insert_or_assign(node_.outputs[output], std::move(operand));
}

void OnnxContext::SetOutput(Value value, size_t output) const {
  SetOutput(Operand{std::nullopt, std::move(value)}, output);
}

void OnnxContext::SetOutput(Constant constant, size_t output) const {
  SetOutput(Operand{std::move(constant), std::nullopt}, output);
}

bool OnnxContext::WantsOutput(size_t output) const {
  return output < node_.outputs.size() && !node_.outputs[output].empty() &&
         uses_.contains(node_.outputs[output]);
}

namespace {

const OnnxOperator* Find(std::span<const OnnxOperator> family,
                         std::string_view name) {
  for (const OnnxOperator& row : family) {
    if (row.name == name) return &row;
  }
  return nullptr;
}

}  // namespace

const OnnxOperator* FindOnnxOperator(std::string_view name) {
  for (const auto& family :
       {OnnxElementwise(), OnnxConvolutions(), OnnxProducts(), OnnxNorms(),
        OnnxQuantized(), OnnxRecurrent(), OnnxShapes()}) {
    if (const OnnxOperator* row = Find(family, name)) return row;
  }
  return nullptr;
}

const OnnxOperator* FindOnnxFold(std::string_view name) {
  return Find(OnnxFolds(), name);
}

}  // namespace lutra::packer
