#ifndef LUTRA_TESTS_HOUSE_MARKDOWN_H_
#define LUTRA_TESTS_HOUSE_MARKDOWN_H_

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

// What tests read of the project's pages.

namespace lutra::house {

// All bytes; "" for a file that is not there.
std::string ReadFile(const std::filesystem::path& path);

std::vector<std::string> Lines(std::string_view text);

// The cells of a row of a table, without spaces around them; none for other
// lines.
std::vector<std::string> Cells(std::string_view line);

// What stands in backticks.
std::vector<std::string> Quoted(std::string_view text);

// The cells of the rows of the first table whose first heading is `heading`.
// Throws std::runtime_error if the page has none.
std::vector<std::vector<std::string>> Table(std::string_view page,
                                            std::string_view heading);

}  // namespace lutra::house

#endif  // LUTRA_TESTS_HOUSE_MARKDOWN_H_
