#ifndef LUTRA_RUNTIME_BASE_FOLDER_ENTRIES_H_
#define LUTRA_RUNTIME_BASE_FOLDER_ENTRIES_H_

#if !defined(_WIN32)
#include <dirent.h>
#endif

#include <cerrno>
#include <filesystem>
#include <memory>
#include <string_view>
#include <system_error>

namespace lutra {

// Calls f(name) for all that is in a folder, in no order. Returns 0, or the
// errno of what failed.
#if defined(_WIN32)
template <typename F>
int ForEachEntry(const std::filesystem::path& folder, const F& f) {
  std::error_code error;
  std::filesystem::directory_iterator entry(folder, error);
  for (; !error && entry != std::filesystem::directory_iterator();
       entry.increment(error)) {
    f(entry->path().filename().string());
  }
  return error.default_error_condition().value();
}
#else
// The C++ library's iterators end the process where there is no memory for them
// (libstdc++ 12).
template <typename F>
int ForEachEntry(const std::filesystem::path& folder, const F& f) {
  struct Close {
    void operator()(DIR* directory) const { ::closedir(directory); }
  };
  const std::unique_ptr<DIR, Close> directory(::opendir(folder.c_str()));
  if (directory == nullptr) return errno;
  for (;;) {
    errno = 0;
    const dirent* const entry = ::readdir(directory.get());
    if (entry == nullptr) return errno;
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") f(name);
  }
}
#endif

}  // namespace lutra

#endif  // LUTRA_RUNTIME_BASE_FOLDER_ENTRIES_H_
