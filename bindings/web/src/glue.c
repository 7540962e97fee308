/* What JavaScript calls beside the functions of lutra.h that it calls directly
 * (exports.txt): those with structs, whose layout it need not know, and memory.
 * An option that is NaN, which is what undefined becomes, keeps its default. */
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "bindings/web/src/executor.h"
#include "lutra.h"

#define LUTRA_WEB __attribute__((used))

/* Models are used where they lie, which takes this alignment. */
enum { ALIGNMENT = 64 };

/* NULL if there is no memory. */
LUTRA_WEB void* lutra_web_allocate(size_t bytes) {
  if (bytes > SIZE_MAX - ALIGNMENT) return NULL;
  const size_t padding = (ALIGNMENT - bytes % ALIGNMENT) % ALIGNMENT;
  return aligned_alloc(ALIGNMENT, bytes == 0 ? ALIGNMENT : bytes + padding);
}
LUTRA_WEB void lutra_web_free(void* memory) { free(memory); }

LUTRA_WEB lutra_status lutra_web_load(const void* bytes, size_t size,
                                      const char* name, int verify_checksums,
                                      lutra_model** model) {
  lutra_load_options options;
  lutra_load_options_init(&options);
  options.name = name;
  options.verify_checksums = verify_checksums;
  return lutra_model_load_from_memory(bytes, size, &options, model);
}

/* fields: name, type, elements, rank, shape. */
LUTRA_WEB lutra_status lutra_web_value(const lutra_model* model, int is_output,
                                       size_t index, size_t* fields) {
  lutra_value_info info;
  const lutra_status status = is_output
                                  ? lutra_model_output(model, index, &info)
                                  : lutra_model_input(model, index, &info);
  if (status != LUTRA_OK) return status;
  fields[0] = (size_t)(uintptr_t)info.name;
  fields[1] = (size_t)info.type;
  fields[2] = info.elements;
  fields[3] = info.rank;
  memcpy(fields + 4, info.shape, sizeof(info.shape));
  return LUTRA_OK;
}

LUTRA_WEB lutra_status lutra_web_session(const lutra_model* model,
                                         double activations, double cache,
                                         double context, double chunk,
                                         lutra_session** session) {
  lutra_session_options options;
  lutra_session_options_init(&options);
  if (!isnan(activations)) options.activations = (lutra_activations)activations;
  if (!isnan(cache)) options.cache = (lutra_cache)cache;
  if (!isnan(context)) options.context = (size_t)context;
  if (!isnan(chunk)) options.chunk = (size_t)chunk;
  options.executor = LutraWebExecutor();
  options.threads = 1; /* without one */
  return lutra_session_create(model, &options, session);
}

/* weights, arena, state: bytes. */
LUTRA_WEB lutra_status lutra_web_memory(const lutra_session* session,
                                        size_t* fields) {
  lutra_memory_report report;
  lutra_memory_report_init(&report);
  const lutra_status status = lutra_session_memory(session, &report);
  fields[0] = report.weights;
  fields[1] = report.arena;
  fields[2] = report.state;
  return status;
}

/* sequence NULL: the session's own. */
LUTRA_WEB lutra_status lutra_web_feed(lutra_session* session,
                                      lutra_sequence* sequence,
                                      const int32_t* ids, size_t count,
                                      const float** logits) {
  if (sequence == NULL) return lutra_session_feed(session, ids, count, logits);
  const lutra_rows rows = {sequence, count};
  return lutra_session_feed_rows(session, &rows, 1, ids, logits);
}

LUTRA_WEB lutra_status lutra_web_sampler(size_t vocabulary, double temperature,
                                         double repetition_penalty,
                                         double repetition_window, double top_k,
                                         double top_p, double min_p,
                                         uint64_t seed,
                                         lutra_sampler** sampler) {
  lutra_sampler_options options;
  lutra_sampler_options_init(&options);
  if (!isnan(temperature)) options.temperature = (float)temperature;
  if (!isnan(repetition_penalty)) {
    options.repetition_penalty = (float)repetition_penalty;
  }
  if (!isnan(repetition_window)) {
    options.repetition_window = (size_t)repetition_window;
  }
  if (!isnan(top_k)) options.top_k = (size_t)top_k;
  if (!isnan(top_p)) options.top_p = (float)top_p;
  if (!isnan(min_p)) options.min_p = (float)min_p;
  options.seed = seed;
  return lutra_sampler_create(&options, vocabulary, sampler);
}

/* The mask of all tokens but those that only pad the vocabulary. */
LUTRA_WEB lutra_status lutra_web_used_tokens(const lutra_model* model,
                                             uint32_t* allowed) {
  const size_t vocabulary = lutra_model_vocabulary(model);
  memset(allowed, 0, (vocabulary + 31) / 32 * sizeof(uint32_t));
  for (size_t id = 0; id < vocabulary; ++id) {
    int is_unused = 0;
    const lutra_status status =
        lutra_model_is_unused(model, (int32_t)id, &is_unused);
    if (status != LUTRA_OK) return status;
    if (!is_unused) allowed[id / 32] |= (uint32_t)1 << (id % 32);
  }
  return LUTRA_OK;
}

/* A sampler's choice; with a constraint, which may be NULL, of the tokens that
 * both allow. mask: room for those. */
LUTRA_WEB lutra_status lutra_web_choose(lutra_sampler* sampler,
                                        lutra_constraint* constraint,
                                        const float* logits, size_t vocabulary,
                                        const uint32_t* used, uint32_t* mask,
                                        int32_t* id) {
  lutra_status status = LUTRA_OK;
  if (constraint != NULL) {
    const uint32_t* allowed = NULL;
    status = lutra_constraint_allowed(constraint, &allowed);
    if (status != LUTRA_OK) return status;
    for (size_t i = 0; i < (vocabulary + 31) / 32; ++i) {
      mask[i] = used[i] & allowed[i];
    }
    used = mask;
  }
  status = lutra_sampler_sample_allowed(sampler, logits, vocabulary, used, id);
  if (status == LUTRA_OK) status = lutra_sampler_accept(sampler, *id);
  if (status == LUTRA_OK && constraint != NULL) {
    status = lutra_constraint_accept(constraint, *id);
  }
  return status;
}

LUTRA_WEB lutra_status lutra_web_constraint(
    const lutra_model* model, const char* grammar, const char* json_schema,
    const int32_t* ends, size_t end_count, lutra_constraint** constraint) {
  lutra_constraint_options options;
  lutra_constraint_options_init(&options);
  options.grammar = grammar;
  options.json_schema = json_schema;
  options.ends = ends;
  options.end_count = end_count;
  return lutra_constraint_create(model, &options, constraint);
}

LUTRA_WEB lutra_status lutra_web_chat(
    const lutra_model* model, const char* messages, const char* tools,
    const char* documents, const char* variables, const char* template_name,
    int add_generation_prompt, char* text, size_t capacity, size_t* bytes) {
  lutra_chat_options options;
  lutra_chat_options_init(&options);
  options.tools = tools;
  options.documents = documents;
  options.variables = variables;
  options.template_name = template_name;
  options.add_generation_prompt = add_generation_prompt;
  return lutra_model_apply_chat_template(model, messages, &options, text,
                                         capacity, bytes);
}
