#include "tests/house/borders.h"

#include <algorithm>
#include <optional>
#include <stdexcept>

#include "tests/house/markdown.h"

namespace lutra::house {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kCommonGround = "base/";

// The place a row is about and what it may use; nullopt for other lines.
struct Row {
  std::string place;
  std::set<std::string> may_use;
};
std::optional<Row> ReadRow(const std::string& line) {
  const std::vector<std::string> cells = Cells(line);
  if (cells.empty()) return std::nullopt;
  const std::vector<std::string> names = Quoted(cells.front());
  if (names.size() != 1) return std::nullopt;  // a heading
  if (cells.size() != 3) {
    throw std::runtime_error("a row without three cells: " + line);
  }
  const std::vector<std::string> used = Quoted(cells.back());
  return Row{names.front(), {used.begin(), used.end()}};
}

// What the quotation marks of an include name.
std::vector<std::string> Includes(const fs::path& file) {
  std::vector<std::string> includes;
  for (const std::string& line : Lines(ReadFile(file))) {
    if (!line.starts_with("#include \"")) continue;
    const size_t begin = line.find('"') + 1;
    includes.push_back(line.substr(begin, line.find('"', begin) - begin));
  }
  return includes;
}

// A file by the place it has in the house.
struct Place {
  std::string room;   // "runtime/"
  std::string inner;  // "ops/", or the name of a file; "" for public headers
  bool is_public = false;
};

class Search {
 public:
  Search(const House& house, const fs::path& root)
      : house_(house), root_(root) {}

  std::vector<std::string> Run() {
    CheckPlaces();
    for (const auto& [name, room] : house_.rooms) {
      // What may use everything has no borders of its own.
      if (room.inner.empty()) continue;
      for (const fs::path& file : SourcesBelow(root_ / name)) CheckFile(file);
    }
    return std::move(found_);
  }

 private:
  void CheckPlaces() {
    for (const auto& [name, room] : house_.rooms) {
      CheckExists(name);
      for (const std::string& other : room.may_use) {
        if (!house_.rooms.contains(other)) CheckExists(other);
      }
      for (const auto& [inner, borders] : room.inner) {
        CheckExists(name + inner);
        for (const std::string& other : borders.may_use) {
          CheckExists(name + other);
        }
      }
    }
  }

  void CheckExists(const std::string& place) {
    const fs::path path = root_ / place;
    const bool exists = place.ends_with('/') ? fs::is_directory(path)
                                             : fs::is_regular_file(path);
    if (!exists) found_.push_back("the page names " + place + ", which is not");
  }

  static std::vector<fs::path> SourcesBelow(const fs::path& folder) {
    std::vector<fs::path> files;
    if (!fs::is_directory(folder)) return files;
    for (const auto& entry : fs::recursive_directory_iterator(folder)) {
      const fs::path extension = entry.path().extension();
      if (extension == ".h" || extension == ".cc" || extension == ".c") {
        files.push_back(entry.path());
      }
    }
    std::sort(files.begin(), files.end());
    return files;
  }

  // nullopt for files of no room.
  std::optional<Place> PlaceOf(const std::string& path) const {
    for (const auto& [name, room] : house_.rooms) {
      if (!path.starts_with(name) || room.inner.empty()) continue;
      Place place{name, "", false};
      const std::string rest = path.substr(name.size());
      if (rest.find("include/lutra") != std::string::npos) {
        place.is_public = true;
        return place;
      }
      for (const auto& [inner, borders] : room.inner) {
        const bool inside =
            inner.ends_with('/') ? rest.starts_with(inner) : rest == inner;
        // The deepest one.
        if (inside && inner.size() > place.inner.size()) place.inner = inner;
      }
      return place;
    }
    return std::nullopt;
  }

  // The file an include names, by its path from the root; nullopt for headers
  // of others.
  std::optional<std::string> Resolve(const std::string& include) const {
    if (fs::is_regular_file(root_ / include)) return include;
    for (const auto& [name, room] : house_.rooms) {
      std::vector<std::string> folders = {name};
      for (const auto& [inner, borders] : room.inner) {
        if (inner.ends_with('/')) folders.push_back(name + inner);
      }
      for (const std::string& folder : folders) {
        const std::string path = folder + "include/" + include;
        if (fs::is_regular_file(root_ / path)) return path;
      }
    }
    return std::nullopt;
  }

  void CheckFile(const fs::path& file) {
    const std::string path = fs::relative(file, root_).generic_string();
    const std::optional<Place> from = PlaceOf(path);
    if (!from) return;
    if (!from->is_public && from->inner.empty()) {
      found_.push_back(path + " stands in no inner room");
      return;
    }
    for (const std::string& include : Includes(file)) {
      const std::optional<std::string> target = Resolve(include);
      if (!target) {
        if (!include.starts_with("hwy/")) {
          found_.push_back(path + " includes " + include + ", which is not");
        }
        continue;
      }
      const std::optional<Place> to = PlaceOf(*target);
      if (!to || !MayUse(*from, *to)) {
        found_.push_back(path + " may not include " + *target);
      }
    }
  }

  bool MayUse(const Place& from, const Place& to) const {
    if (from.is_public && !to.is_public) return false;
    const Room& room = house_.rooms.at(from.room);
    if (from.room != to.room) {
      return room.may_use.contains(to.room) &&
             (to.is_public || to.inner == kCommonGround);
    }
    if (to.is_public || from.inner == to.inner) return true;
    return room.inner.at(from.inner).may_use.contains(to.inner);
  }

  const House& house_;
  const fs::path& root_;
  std::vector<std::string> found_;
};

}  // namespace

House ReadHouse(std::string_view page) {
  House house;
  bool in_rooms = false;
  std::string room;  // whose inner rooms are being listed
  for (const std::string& line : Lines(page)) {
    if (line.starts_with('#')) {
      const std::vector<std::string> names = Quoted(line);
      in_rooms = line == "## Rooms";
      room = line.starts_with("### ") && names.size() == 1 ? names.front() : "";
      continue;
    }
    const std::optional<Row> row =
        in_rooms || !room.empty() ? ReadRow(line) : std::nullopt;
    if (!row) continue;
    if (in_rooms) {
      house.rooms[row->place].may_use = row->may_use;
    } else {
      house.rooms[room].inner[row->place].may_use = row->may_use;
    }
  }
  if (house.rooms.empty()) throw std::runtime_error("the page has no rooms");
  return house;
}

std::vector<std::string> FindCrossings(const House& house,
                                       const fs::path& root) {
  return Search(house, root).Run();
}

}  // namespace lutra::house
