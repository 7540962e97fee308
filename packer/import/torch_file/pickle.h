#ifndef LUTRA_PACKER_IMPORT_TORCH_FILE_PICKLE_H_
#define LUTRA_PACKER_IMPORT_TORCH_FILE_PICKLE_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace lutra::packer {

// What a pickle holds, as data. Nothing is imported and nothing is called: a
// call of a function that is on the list becomes a node that says so, any other
// is an error.
struct PickleNode {
  enum class Kind {
    kNone,
    kBool,
    kInteger,
    kFloat,
    kText,
    kList,  // a tuple, too
    kDict,
    kGlobal,   // text: "torch BFloat16Storage"
    kCall,     // text: the global; items: its arguments
    kStorage,  // items: of a persistent id
  };
  Kind kind = Kind::kNone;
  int64_t integer = 0;
  double number = 0;
  std::string text;
  std::vector<const PickleNode*> items;
  // Of a dict.
  std::vector<std::pair<const PickleNode*, const PickleNode*>> members;
};

class Pickle {
 public:
  // Throws Error naming `file`: for bytes that are no pickle, for opcodes that
  // torch.save does not write, and for globals that are not on the list.
  Pickle(std::span<const std::byte> bytes, const std::string& file);

  const PickleNode& root() const { return *root_; }

 private:
  friend class PickleMachine;

  std::deque<PickleNode> nodes_;  // addresses stay
  const PickleNode* root_ = nullptr;
};

}  // namespace lutra::packer

#endif  // LUTRA_PACKER_IMPORT_TORCH_FILE_PICKLE_H_
