#ifndef LUTRA_TOOLS_VERBS_PROFILE_LINES_H_
#define LUTRA_TOOLS_VERBS_PROFILE_LINES_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "lutra/runtime/session.h"
#include "tools/cli/json.h"
#include "tools/cli/table.h"

// What the verb profile measured, and how it shows it.

namespace lutra::tools {

// Of a node, or of all nodes of an operator.
struct ProfileLine {
  std::string name;
  std::string op;
  uint64_t nodes = 1;
  double microseconds = 0;  // these per token
  double bytes = 0;
  double multiply_adds = 0;
};

struct ProfileResult {
  size_t tokens = 0;
  double microseconds = 0;  // per token, all in all
  std::vector<NodeProfile> nodes;
};

// What the machine can do at best.
struct ProfileLimits {
  double bandwidth = 0;   // bytes per second
  double operations = 0;  // per second

  // How near a line comes to the limit it is nearest to; 1 is at it.
  double Share(const ProfileLine& line) const;
};

// Bytes of weights and state that a call reads.
size_t BytesOfCall(const ProfileResult& result);
// Lines of all nodes but those that were computed along with an earlier one.
std::vector<ProfileLine> NodeLines(const ProfileResult& result);
// One for each operator, the slowest first.
std::vector<ProfileLine> OperatorLines(const std::vector<ProfileLine>& nodes);

Json ToJson(const ProfileLine& line, const ProfileResult& result,
            const ProfileLimits& limits);
// `nodes`: the lines are of nodes, not of operators.
Table ToTable(const std::vector<ProfileLine>& lines, bool nodes,
              const ProfileResult& result, const ProfileLimits& limits);

}  // namespace lutra::tools

#endif  // LUTRA_TOOLS_VERBS_PROFILE_LINES_H_
