// Chat templates of the C API.

#include <algorithm>
#include <string>
#include <vector>

#include "lutra/runtime/chat_data.h"
#include "lutra/runtime/chat_session.h"
#include "runtime/capi/c_api.h"

using lutra::c_api::Guard;
using lutra::c_api::InitSized;
using lutra::c_api::NullArgument;
using lutra::c_api::ReadSized;

namespace {

std::string TextOf(const char* text) { return text == nullptr ? "" : text; }

// Renders by render(template, options).
template <typename Render>
lutra_status Apply(const lutra_model* model, const lutra_chat_options* options,
                   char* text, size_t capacity, size_t* bytes,
                   const Render& render) {
  if (bytes == nullptr) return NullArgument("bytes");
  *bytes = 0;
  if (model == nullptr) return NullArgument("model");
  if (text == nullptr && capacity > 0) return NullArgument("text");
  lutra_chat_options known;
  lutra_chat_options_init(&known);
  if (options != nullptr) {
    const lutra_status status = ReadSized(*options, &known);
    if (status != LUTRA_OK) return status;
  }
  return Guard([&] {
    lutra::ChatOptions converted;
    converted.tools = TextOf(known.tools);
    converted.documents = TextOf(known.documents);
    converted.variables = TextOf(known.variables);
    converted.continue_final_message = known.continue_final_message != 0;
    converted.add_generation_prompt = known.add_generation_prompt != 0;
    const auto chat =
        lutra::LoadChatTemplate(*model->model, TextOf(known.template_name));
    const std::string result = render(*chat, converted);
    std::copy_n(result.begin(), std::min(capacity, result.size()), text);
    *bytes = result.size();
  });
}

}  // namespace

extern "C" {

void lutra_chat_options_init_sized(lutra_chat_options* options,
                                   size_t struct_size) {
  if (options == nullptr) return;
  lutra_chat_options defaults = {};
  defaults.add_generation_prompt = 1;
  InitSized(defaults, struct_size, options);
}

lutra_status lutra_model_apply_chat_template(const lutra_model* model,
                                             const char* messages,
                                             const lutra_chat_options* options,
                                             char* text, size_t capacity,
                                             size_t* bytes) {
  if (messages == nullptr) return NullArgument("messages");
  return Apply(model, options, text, capacity, bytes,
               [&](const lutra::ChatTemplate& chat,
                   const lutra::ChatOptions& converted) {
                 return chat.Render(std::string_view(messages), converted).text;
               });
}

lutra_status lutra_model_apply_chat_template_to(
    const lutra_model* model, const lutra_chat_message* messages, size_t count,
    const lutra_chat_options* options, char* text, size_t capacity,
    size_t* bytes) {
  if (messages == nullptr && count > 0) return NullArgument("messages");
  for (size_t i = 0; i < count; ++i) {
    if (messages[i].role == nullptr) return NullArgument("role");
    if (messages[i].content == nullptr) return NullArgument("content");
  }
  return Apply(model, options, text, capacity, bytes,
               [&](const lutra::ChatTemplate& chat,
                   const lutra::ChatOptions& converted) {
                 std::vector<lutra::ChatMessage> list;
                 for (size_t i = 0; i < count; ++i) {
                   list.push_back({messages[i].role, messages[i].content});
                 }
                 return chat.Render(list, converted);
               });
}

lutra_status lutra_model_chat_ends(const lutra_model* model, int32_t* ids,
                                   size_t capacity, size_t* count) {
  if (count == nullptr) return NullArgument("count");
  *count = 0;
  if (model == nullptr) return NullArgument("model");
  if (ids == nullptr && capacity > 0) return NullArgument("ids");
  return Guard([&] {
    const std::vector<int32_t> ends = lutra::TurnEnds(
        *lutra::LoadChatTemplate(*model->model), *model->RequireTokenizer());
    std::copy_n(ends.begin(), std::min(capacity, ends.size()), ids);
    *count = ends.size();
  });
}

}  // extern "C"
