#include "runtime/exec/schedule.h"

#include <map>
#include <optional>
#include <set>
#include <string_view>

#include "lutra/runtime/operator.h"

namespace lutra {
namespace {

class Scheduler {
 public:
  Scheduler(const Model& model, const std::vector<bool>& in_tail)
      : model_(model),
        nodes_(model.graph().nodes),
        in_tail_(in_tail),
        scheduled_(nodes_.size(), false) {
    for (const ValueInfo& input : model.inputs()) ready_.insert(input.name);
    for (size_t i = 0; i < nodes_.size(); ++i) {
      for (const std::string& input : nodes_[i].inputs) {
        users_[input].push_back(i);
      }
    }
    for (const std::string& output : model.graph().outputs) {
      users_[output].push_back(nodes_.size());
    }
  }

  std::vector<ScheduledStep> Schedule() {
    std::vector<ScheduledStep> steps;
    for (size_t i = 0; i < nodes_.size(); ++i) {
      if (scheduled_[i]) continue;
      ScheduledStep step;
      Add(i, step);
      if (Fuses(i)) AddOthers(i, step);
      for (const ScheduledNode& s : step)
        ready_.insert(nodes_[s.result].output);
      steps.push_back(std::move(step));
    }
    return steps;
  }

 private:
  bool Fuses(size_t i) const {
    return GetOperator(nodes_[i].op).Fuses(model_, nodes_[i]);
  }

  const OperatorSchema& SchemaOf(size_t i) const {
    return GetOperator(nodes_[i].op).schema();
  }

  // The node that alone uses the output of node `i`.
  std::optional<size_t> OnlyUser(size_t i) {
    const std::vector<size_t>& users = users_[nodes_[i].output];
    if (users.size() != 1 || users[0] == nodes_.size()) return std::nullopt;
    return users[0];
  }

  void Add(size_t i, ScheduledStep& step) {
    scheduled_[i] = true;
    ScheduledNode s{.node = i, .result = i};
    if (Fuses(i)) {
      FuseFunction(s);
      FuseAdd(s);
    }
    step.push_back(s);
  }

  void FuseFunction(ScheduledNode& s) {
    const std::optional<size_t> user = OnlyUser(s.result);
    if (!user) return;
    const kernels::Fusion fusion = SchemaOf(*user).fusion;
    if (fusion == kernels::Fusion::kNone) return;
    s.fusion = fusion;
    s.result = *user;
    scheduled_[*user] = true;
  }

  void FuseAdd(ScheduledNode& s) {
    const std::optional<size_t> user = OnlyUser(s.result);
    if (!user || !SchemaOf(*user).is_sum) return;
    const std::vector<std::string>& inputs = nodes_[*user].inputs;
    const bool first = inputs[0] == nodes_[s.result].output;
    const std::string& other = inputs[first ? 1 : 0];
    if (!ready_.contains(other)) return;
    s.residual = &other;
    s.result = *user;
    scheduled_[*user] = true;
  }

  // The other nodes of its operator that fuse and have the input of node
  // `first`.
  void AddOthers(size_t first, ScheduledStep& step) {
    for (const size_t i : users_[nodes_[first].inputs[0]]) {
      if (step.size() == kernels::kMaxGemmProducts) return;
      if (i == nodes_.size() || scheduled_[i] || !Fuses(i)) continue;
      if (nodes_[i].op != nodes_[first].op) continue;
      const Operator& op = GetOperator(nodes_[i].op);
      if (!op.FusesWith(model_, nodes_[first], nodes_[i])) continue;
      if (in_tail_[i] == in_tail_[first]) Add(i, step);
    }
  }

  const Model& model_;
  const std::vector<Node>& nodes_;
  const std::vector<bool>& in_tail_;
  std::vector<bool> scheduled_;
  // Values that earlier steps have written.
  std::set<std::string_view> ready_;
  // Of each value; the graph's outputs count as a node after the last.
  std::map<std::string_view, std::vector<size_t>> users_;
};

}  // namespace

std::vector<ScheduledStep> ScheduleNodes(const Model& model,
                                         const std::vector<bool>& in_tail) {
  return Scheduler(model, in_tail).Schedule();
}

}  // namespace lutra
