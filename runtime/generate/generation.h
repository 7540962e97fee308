#ifndef LUTRA_RUNTIME_GENERATE_GENERATION_H_
#define LUTRA_RUNTIME_GENERATE_GENERATION_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "lutra/runtime/generation.h"
#include "lutra/runtime/stop_filter.h"
#include "lutra/runtime/tokenizer.h"

// Parts of both generators.

namespace lutra {

// Whether the token ends a text.
bool IsEnd(const Tokenizer& tokenizer, const GenerationOptions& options,
           int32_t id);

// From the tokens of a continuation to the text that is shown.
class ShownText {
 public:
  using Show = std::function<void(std::string_view text)>;

  ShownText(const Tokenizer& tokenizer, bool continues,
            const std::vector<std::string>& stops, Show show)
      : stream_(tokenizer, continues), filter_(stops), show_(std::move(show)) {}

  void Add(int32_t id) { ShowText(filter_.Add(stream_.Add(id))); }
  void Finish() {
    ShowText(filter_.Add(stream_.Flush()));
    ShowText(filter_.Flush());
  }
  bool stopped() const { return filter_.stopped(); }

 private:
  void ShowText(const std::string& text) {
    if (!text.empty()) show_(text);
  }

  TextStream stream_;
  StopFilter filter_;
  Show show_;
};

}  // namespace lutra

#endif  // LUTRA_RUNTIME_GENERATE_GENERATION_H_
