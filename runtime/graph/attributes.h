#ifndef LUTRA_RUNTIME_GRAPH_ATTRIBUTES_H_
#define LUTRA_RUNTIME_GRAPH_ATTRIBUTES_H_

#include <string>
#include <string_view>

#include "lutra/runtime/operator.h"

// Values of attributes against the schema of their operator.

namespace lutra {

// nullptr if the operator has no such attribute.
const AttributeSchema* FindAttribute(const OperatorSchema& op,
                                     std::string_view name);

// What is wrong with the value, or "".
std::string CheckAttribute(const AttributeSchema& schema,
                           const Attribute& value);

}  // namespace lutra

#endif  // LUTRA_RUNTIME_GRAPH_ATTRIBUTES_H_
