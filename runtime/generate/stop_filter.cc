#include "lutra/runtime/stop_filter.h"

#include <algorithm>
#include <utility>

#include "lutra/runtime/error.h"

namespace lutra {

StopFilter::StopFilter(std::vector<std::string> stops)
    : stops_(std::move(stops)) {
  for (const std::string& stop : stops_) {
    if (stop.empty()) throw Error("a stop string is empty");
  }
}

size_t StopFilter::Uncertain() const {
  size_t most = 0;
  for (const std::string& stop : stops_) {
    size_t length = std::min(stop.size() - 1, held_.size());
    while (length > most && !held_.ends_with(stop.substr(0, length))) --length;
    most = std::max(most, length);
  }
  return most;
}

std::string StopFilter::Add(std::string_view piece) {
  if (stopped_) return "";
  held_ += piece;
  size_t end = std::string::npos;
  size_t complete = std::string::npos;
  for (const std::string& stop : stops_) {
    const size_t begin = held_.find(stop);
    if (begin == std::string::npos) continue;
    if (std::pair(begin + stop.size(), begin) < std::pair(complete, end)) {
      complete = begin + stop.size();
      end = begin;
    }
  }
  stopped_ = end != std::string::npos;
  if (!stopped_) end = held_.size() - Uncertain();
  std::string certain = held_.substr(0, end);
  held_.erase(0, stopped_ ? held_.size() : end);
  return certain;
}

std::string StopFilter::Flush() { return std::exchange(held_, ""); }

}  // namespace lutra
