#ifndef LUTRA_RUNTIME_STOP_FILTER_H_
#define LUTRA_RUNTIME_STOP_FILTER_H_

#include <string>
#include <string_view>
#include <vector>

namespace lutra {

// Ends a text that comes in pieces before the first of several stop strings,
// which may begin in one piece and end in another: what could still become a
// stop string is held back. One thread at a time.
class StopFilter {
 public:
  // Throws Error for an empty string. No strings: nothing is held back.
  explicit StopFilter(std::vector<std::string> stops);

  // The text that is certain after `piece`, "" once the text has stopped.
  std::string Add(std::string_view piece);
  // What was held back, when no more pieces come.
  std::string Flush();
  // Whether a stop string came. Of several the one that is complete first
  // counts, then the longest, so that it does not matter where pieces end.
  bool stopped() const { return stopped_; }

 private:
  // Bytes at the end of held_ that may begin a stop string.
  size_t Uncertain() const;

  std::vector<std::string> stops_;
  std::string held_;
  bool stopped_ = false;
};

}  // namespace lutra

#endif  // LUTRA_RUNTIME_STOP_FILTER_H_
