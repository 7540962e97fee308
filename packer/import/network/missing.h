#ifndef LUTRA_PACKER_IMPORT_NETWORK_MISSING_H_
#define LUTRA_PACKER_IMPORT_NETWORK_MISSING_H_

#include <cstddef>
#include <map>
#include <string>
#include <string_view>
#include <utility>

namespace lutra::packer {

// What a graph has that lutra cannot express: all of it, so that whoever
// changes the graph need not find out one by one.
class Missing {
 public:
  // `cause` is empty if the operator as such is not known.
  void Add(const std::string& op, const std::string& cause) {
    ++counts_[{op, cause}];
  }
  bool empty() const { return counts_.empty(); }
  size_t size() const { return counts_.size(); }  // kinds of it
  // Throws Error with the list, in one line.
  [[noreturn]] void Refuse(std::string_view file) const;

 private:
  std::map<std::pair<std::string, std::string>, size_t> counts_;
};

}  // namespace lutra::packer

#endif  // LUTRA_PACKER_IMPORT_NETWORK_MISSING_H_
