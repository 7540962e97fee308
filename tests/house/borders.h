#ifndef LUTRA_TESTS_HOUSE_BORDERS_H_
#define LUTRA_TESTS_HOUSE_BORDERS_H_

#include <filesystem>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

// The borders between rooms, as docs/architecture.md draws them, and the
// includes that cross one.

namespace lutra::house {

// A folder of a room, or a file that stands alone in it.
struct InnerRoom {
  std::set<std::string> may_use;  // inner rooms of the same room, e.g. "base/"
};

struct Room {
  std::set<std::string> may_use;           // other rooms, e.g. "kernels/"
  std::map<std::string, InnerRoom> inner;  // by path in the room, "ops/"
};

struct House {
  std::map<std::string, Room> rooms;  // by folder, e.g. "runtime/"
};

// Reads the tables of the page: the one below "## Rooms" and those below
// "### `ROOM/`". In both the first cell of a row names a place and the last one
// what it may use, in backticks and with a slash at the end for folders. Throws
// std::runtime_error if there are none, or a row has not three cells.
House ReadHouse(std::string_view page);

// One line for each place that the page names and `root` has not, for each
// source file of a room that stands in no inner room, and for each include that
// crosses a border:
//   * A public header (ROOM/include/lutra/...) may be used by its room and by
//     the rooms that may use that. It includes public headers only.
//   * A private header may be used by its inner room and by those that may use
//     that; where it stands in a folder `base/`, by all who may use its room.
std::vector<std::string> FindCrossings(const House& house,
                                       const std::filesystem::path& root);

}  // namespace lutra::house

#endif  // LUTRA_TESTS_HOUSE_BORDERS_H_
