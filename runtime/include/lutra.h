#ifndef LUTRA_H_
#define LUTRA_H_

/* lutra's C API: load a model file, run it; for language models also tokens,
 * sampling and text.
 *
 * Functions that can fail return a lutra_status; lutra_last_error() then gives
 * one line with the cause for the calling thread. Nothing here aborts, prints
 * or throws. Every pointer argument must be valid unless it says otherwise.
 *
 * A model is immutable and may be shared by sessions on several threads; a
 * session, a sampler, a text stream, a constraint and a speculation are used by
 * one thread at a time each (lutra_session_cancel excepted). Freeing a model
 * while others use it is allowed (it lives until the last of them is freed).
 *
 * Structs that may grow begin with struct_size: fill them with their init
 * macro, which passes the size that the caller was compiled with.
 */

#include <stddef.h>
#include <stdint.h>

#define LUTRA_VERSION_MAJOR 0
#define LUTRA_VERSION_MINOR 1
#define LUTRA_VERSION_PATCH 0
/* For #if: grows with the version. */
#define LUTRA_VERSION_NUMBER                                    \
  (LUTRA_VERSION_MAJOR * 1000000 + LUTRA_VERSION_MINOR * 1000 + \
   LUTRA_VERSION_PATCH)

/* On Windows LUTRA_STATIC is for users of the static library, LUTRA_BUILDING
 * for the library itself; CMake's targets define them. */
#if defined(_WIN32) && defined(LUTRA_STATIC)
#define LUTRA_EXPORT
#elif defined(_WIN32) && defined(LUTRA_BUILDING)
#define LUTRA_EXPORT __declspec(dllexport)
#elif defined(_WIN32)
#define LUTRA_EXPORT __declspec(dllimport)
#else
#define LUTRA_EXPORT __attribute__((visibility("default")))
#endif

#ifdef __cplusplus
extern "C" {
#endif

typedef struct lutra_model lutra_model;
typedef struct lutra_session lutra_session;
typedef struct lutra_sequence lutra_sequence;
typedef struct lutra_sampler lutra_sampler;
typedef struct lutra_text_stream lutra_text_stream;
typedef struct lutra_constraint lutra_constraint;
typedef struct lutra_speculation lutra_speculation;
struct pthreadpool;

typedef enum lutra_status {
  LUTRA_OK = 0,
  /* A null pointer, a wrong index, count or option, ids outside the vocabulary;
   * something of another model; a folder where a file should be. */
  LUTRA_INVALID_ARGUMENT = 1,
  /* The bytes are not those of a model, tokenizer or saved sequence, or are
   * damaged. */
  LUTRA_DAMAGED = 2,
  LUTRA_OUT_OF_MEMORY = 3,
  LUTRA_INTERNAL = 4,  /* a defect of lutra */
  LUTRA_CANCELLED = 5, /* by lutra_session_cancel */
  /* There is no such file; or the model has no tokenizer. */
  LUTRA_NOT_FOUND = 6,
  LUTRA_NO_PERMISSION = 7, /* to open the file */
  LUTRA_IO = 8,            /* the system cannot read or map the file */
  /* What this build cannot do: a version, operator or type that it does not
   * know; keys and values that a float16 cache cannot hold. */
  LUTRA_UNSUPPORTED = 9,
  /* More tokens than the context; nothing was run. */
  LUTRA_CONTEXT_FULL = 10,
  LUTRA_NO_THREADS = 11 /* the system starts no more */
} lutra_status;

typedef enum lutra_type { LUTRA_FLOAT32 = 0, LUTRA_INT32 = 1 } lutra_type;

typedef enum lutra_activations {
  LUTRA_ACTIVATIONS_INT8_ASYMMETRIC = 0,
  LUTRA_ACTIVATIONS_INT8_SYMMETRIC = 1,
  LUTRA_ACTIVATIONS_FLOAT32 = 2,
  LUTRA_ACTIVATIONS_INT8_PER_GROUP = 3,
  LUTRA_ACTIVATIONS_BFLOAT16 = 4,
  /* The default: as the model was trained or packed for; where it does not
   * say, INT8_PER_GROUP if a weight has groups, else INT8_ASYMMETRIC. */
  LUTRA_ACTIVATIONS_MODEL = 5
} lutra_activations;

/* How a session keeps the keys and values of attention. With float16, those
 * beyond 65504 are an error when tokens are run. LUTRA_CACHE_MODEL, the
 * default, is as the model was trained for; where it does not say, float16. */
typedef enum lutra_cache {
  LUTRA_CACHE_FLOAT16 = 0,
  LUTRA_CACHE_FLOAT32 = 1,
  LUTRA_CACHE_INT8 = 2,
  LUTRA_CACHE_MODEL = 3
} lutra_cache;

enum { LUTRA_MAX_RANK = 8 };

/* Describes an input or output. */
typedef struct lutra_value_info {
  const char* name; /* owned by the model */
  lutra_type type;
  size_t rank;                  /* without the token dimension */
  size_t shape[LUTRA_MAX_RANK]; /* likewise; the rest is 0 */
  size_t elements;              /* per token */
} lutra_value_info;

/* The app's own threads, for lutra to run on. Fill with lutra_executor_init,
 * then set the rest. */
typedef struct lutra_executor {
  size_t struct_size; /* set by init */
  void* context;      /* handed to run */
  size_t threads;     /* how many run tasks at the same time, at least 1 */
  /* Calls task(argument, i) once for each i below `tasks`, on any threads, in
   * any order, and returns when all calls have returned. It is called by the
   * thread that calls lutra, never by a task; the results do not depend on
   * which thread does what. */
  void (*run)(void* context, size_t tasks,
              void (*task)(void* argument, size_t index), void* argument);
} lutra_executor;

/* Fill with lutra_session_options_init, then change what you need. */
typedef struct lutra_session_options {
  size_t struct_size; /* set by init; lets later versions add fields */
  lutra_activations activations;
  /* 0: see `lutra cpu`; ignored when thread_pool or executor is given. */
  size_t threads;
  struct pthreadpool* thread_pool; /* the app's own pool, or NULL */
  /* Most tokens of a sequence; 0: what the model is made for (see
   * lutra_session_context). More is allowed, but past the length that a model
   * was trained for its outputs are often worth nothing: the log has a warning.
   */
  size_t context;
  lutra_cache cache;
  size_t chunk; /* most tokens of a prompt per call; 0: 128 */
  /* The app's own threads, or NULL. Copied; what its context points to, like
   * thread_pool, must outlive the session. Not together with thread_pool. */
  const lutra_executor* executor;
} lutra_session_options;

/* Bytes of memory of a session. */
typedef struct lutra_memory_report {
  size_t struct_size;
  size_t weights; /* mapped from the file, shared by all sessions */
  size_t arena;   /* values and scratch */
  size_t state;   /* keys and values of the tokens so far, recurrent states */
} lutra_memory_report;

/* See lutra/runtime/sampler.h for what the filters do; they are applied in this
 * order: repetition penalty, top-k, top-p, min-p, temperature. */
typedef struct lutra_sampler_options {
  size_t struct_size;
  float temperature;        /* 0.8; 0: always the most probable token */
  float repetition_penalty; /* 1: none */
  size_t repetition_window; /* 64 */
  size_t top_k;             /* 40; 0: all */
  float top_p;              /* 0.95; 1: all */
  float min_p;              /* 0.05; 0: all */
  uint64_t seed;            /* 0 */
} lutra_sampler_options;

/* "0.1.0", static. */
LUTRA_EXPORT const char* lutra_version(void);
/* Cause of the last failure on this thread; "" if none. Valid until the next
 * call on this thread. */
LUTRA_EXPORT const char* lutra_last_error(void);

typedef enum lutra_log_level {
  LUTRA_LOG_WARNING = 1, /* the result may not be what was meant */
  LUTRA_LOG_INFO = 2     /* it is, but at another cost */
} lutra_log_level;

/* Gets one line, without its end, which is valid during the call. Must not call
 * functions of lutra. */
typedef void (*lutra_log_callback)(void* context, lutra_log_level level,
                                   const char* message);

/* Where lutra says what is no error, up to `most`: nowhere at first, nor with
 * NULL. For the whole process; from any thread. The callback is called by one
 * thread at a time, and not any more when the next call of lutra_set_log
 * returns. */
LUTRA_EXPORT void lutra_set_log(lutra_log_callback callback, void* context,
                                lutra_log_level most);

/* Where the bytes of a model lie while it is used. */
typedef enum lutra_storage {
  /* Where they are: a file is mapped, memory is borrowed. What does not start
   * at a multiple of 64 bytes is copied all the same. */
  LUTRA_STORAGE_IN_PLACE = 0,
  /* In memory of the model's own, whatever becomes of the file. */
  LUTRA_STORAGE_COPY = 1,
  /* The same in pages of 2 MiB, if the system has them. */
  LUTRA_STORAGE_HUGE_PAGES = 2
} lutra_storage;

/* Fill with lutra_load_options_init, then change what you need. */
typedef struct lutra_load_options {
  size_t struct_size;
  lutra_storage storage;
  /* Other than 0: reads all packed weights; if a checksum does not match, the
   * file is LUTRA_DAMAGED. */
  int verify_checksums;
  /* What messages call a model that has no path; NULL: "model". */
  const char* name;
  /* A folder of PEFT's (adapter_config.json, adapter_model.safetensors) whose
   * low-rank adapters are put beside the model's linear layers, packed or not;
   * NULL: none. Mapped models of one file share its pages, so that each may
   * have another adapter. */
  const char* adapter;
} lutra_load_options;

/* The file is mapped and must keep its bytes as long as the model lives: if
 * another process makes it shorter, the system ends this one (SIGBUS). Replace
 * model files by renaming. */
LUTRA_EXPORT lutra_status lutra_model_load(const char* path,
                                           lutra_model** model);

LUTRA_EXPORT void lutra_load_options_init_sized(lutra_load_options* options,
                                                size_t struct_size);
#define lutra_load_options_init(options) \
  lutra_load_options_init_sized((options), sizeof(lutra_load_options))

/* options may be NULL for the defaults in the three functions that follow. */
LUTRA_EXPORT lutra_status lutra_model_load_with(
    const char* path, const lutra_load_options* options, lutra_model** model);
/* A model file in memory. Used in place, the bytes must stay as they are until
 * the model and all that uses it are freed. */
LUTRA_EXPORT lutra_status lutra_model_load_from_memory(
    const void* bytes, size_t size, const lutra_load_options* options,
    lutra_model** model);
/* `size` bytes from `offset` on of an open regular file, e.g. an asset of a
 * phone app. The descriptor is not closed, and not used after the call. */
LUTRA_EXPORT lutra_status lutra_model_load_from_descriptor(
    int descriptor, uint64_t offset, uint64_t size,
    const lutra_load_options* options, lutra_model** model);

/* NULL is allowed. */
LUTRA_EXPORT void lutra_model_free(lutra_model* model);

LUTRA_EXPORT size_t lutra_model_input_count(const lutra_model* model);
LUTRA_EXPORT size_t lutra_model_output_count(const lutra_model* model);
LUTRA_EXPORT lutra_status lutra_model_input(const lutra_model* model,
                                            size_t index,
                                            lutra_value_info* info);
LUTRA_EXPORT lutra_status lutra_model_output(const lutra_model* model,
                                             size_t index,
                                             lutra_value_info* info);

/* Sets everything to 0. */
LUTRA_EXPORT void lutra_executor_init_sized(lutra_executor* executor,
                                            size_t struct_size);
#define lutra_executor_init(executor) \
  lutra_executor_init_sized((executor), sizeof(lutra_executor))

/* Sets the defaults. */
LUTRA_EXPORT void lutra_session_options_init_sized(
    lutra_session_options* options, size_t struct_size);
#define lutra_session_options_init(options) \
  lutra_session_options_init_sized((options), sizeof(lutra_session_options))

/* options may be NULL for the defaults. */
LUTRA_EXPORT lutra_status lutra_session_create(
    const lutra_model* model, const lutra_session_options* options,
    lutra_session** session);
/* NULL is allowed. */
LUTRA_EXPORT void lutra_session_free(lutra_session* session);

/* Plans the memory for calls with `tokens` tokens, so that lutra_session_run
 * allocates nothing. Optional. */
LUTRA_EXPORT lutra_status lutra_session_prepare(lutra_session* session,
                                                size_t tokens);

/* inputs[i]: float or int32 [tokens, shape of input i], dense, row-major;
 * outputs[i]: float [tokens, shape of output i]. The counts must be those of
 * the model. After a failure the sequence is as it was before the call. */
LUTRA_EXPORT lutra_status lutra_session_run(
    lutra_session* session, size_t tokens, const void* const* inputs,
    size_t input_count, float* const* outputs, size_t output_count);

/* The sequence of a model with state (attention, recurrent nodes): how many
 * tokens were run, how many there may be (0: any number), how to begin anew,
 * and how to forget the tokens from `position` on (attention only). */
LUTRA_EXPORT size_t lutra_session_position(const lutra_session* session);
LUTRA_EXPORT size_t lutra_session_context(const lutra_session* session);
LUTRA_EXPORT lutra_status lutra_session_reset(lutra_session* session);
LUTRA_EXPORT lutra_status lutra_session_rewind(lutra_session* session,
                                               size_t position);

/* The vector of a text of `count` tokens, of a model that encodes texts (one
 * output, "embedding"): float [elements of the output]. The session's own
 * sequence stays as it is. */
LUTRA_EXPORT lutra_status lutra_session_embed(lutra_session* session,
                                              const int32_t* ids, size_t count,
                                              float* vector);

/* From any thread: the call that runs, or else the next one, returns
 * LUTRA_CANCELLED. NULL is allowed. */
LUTRA_EXPORT void lutra_session_cancel(lutra_session* session);

LUTRA_EXPORT void lutra_memory_report_init_sized(lutra_memory_report* report,
                                                 size_t struct_size);
#define lutra_memory_report_init(report) \
  lutra_memory_report_init_sized((report), sizeof(lutra_memory_report))
LUTRA_EXPORT lutra_status lutra_session_memory(const lutra_session* session,
                                               lutra_memory_report* report);

/* ---- Sequences: what a model remembers of the tokens of a text ----
 *
 * A session has one of its own, which all functions above work on. Any number
 * of others can be run by it, several in one call; see
 * lutra/runtime/sequence.h. A sequence is used by one thread at a time. It can
 * be used with every session of its model whose cache is of the same type, and
 * outlives the session that made it. */

/* An empty one. */
LUTRA_EXPORT lutra_status lutra_sequence_create(const lutra_session* session,
                                                lutra_sequence** sequence);
/* One with the tokens of the session's own. Its memory is shared until one of
 * the two writes to it. */
LUTRA_EXPORT lutra_status lutra_session_fork(const lutra_session* session,
                                             lutra_sequence** sequence);
LUTRA_EXPORT lutra_status lutra_sequence_fork(const lutra_sequence* sequence,
                                              lutra_sequence** fork);
/* NULL is allowed. */
LUTRA_EXPORT void lutra_sequence_free(lutra_sequence* sequence);

/* How many tokens it holds, and how to forget those from `position` on
 * (recurrent nodes only go back to 0). */
LUTRA_EXPORT size_t lutra_sequence_position(const lutra_sequence* sequence);
LUTRA_EXPORT lutra_status lutra_sequence_truncate(lutra_sequence* sequence,
                                                  size_t position);

/* Sets *size to the number of bytes that keep the sequence, and writes them if
 * they are not more than `capacity`. bytes may be NULL if capacity is 0. */
LUTRA_EXPORT lutra_status lutra_sequence_save(const lutra_sequence* sequence,
                                              void* bytes, size_t capacity,
                                              size_t* size);
/* Damaged bytes are LUTRA_DAMAGED, those of another model or cache
 * LUTRA_INVALID_ARGUMENT, and those of more tokens than the session's context
 * LUTRA_CONTEXT_FULL. */
LUTRA_EXPORT lutra_status lutra_sequence_restore(const lutra_session* session,
                                                 const void* bytes, size_t size,
                                                 lutra_sequence** sequence);

/* The next `count` rows of a sequence. */
typedef struct lutra_rows {
  lutra_sequence* sequence;
  size_t count;
} lutra_rows;

/* As lutra_session_run, for the rows of several sequences, one after the other,
 * each sequence once. With last_only other than 0, outputs[i] is
 * [sequences, shape of output i], those of the last row of each. */
LUTRA_EXPORT lutra_status lutra_session_run_rows(
    lutra_session* session, const lutra_rows* rows, size_t row_count,
    int last_only, const void* const* inputs, size_t input_count,
    float* const* outputs, size_t output_count);

/* ---- Language models: one input of token ids, one output of logits ---- */

/* Logits per token; 0 if the model is no language model. */
LUTRA_EXPORT size_t lutra_model_vocabulary(const lutra_model* model);

/* Appends `count` tokens to the session's sequence, long ones in chunks. If
 * `logits` is not NULL it is set to the logits that follow the last token,
 * float [vocabulary], owned by the session and valid until its next call.
 *
 * What was fed before a failure (LUTRA_CANCELLED, too), a number of whole
 * chunks, stays part of the sequence: lutra_session_position says how much that
 * is, and lutra_session_rewind or _reset takes it back. Ids outside the
 * vocabulary fail in their chunk; more tokens than the context holds fail
 * before the first. */
LUTRA_EXPORT lutra_status lutra_session_feed(lutra_session* session,
                                             const int32_t* ids, size_t count,
                                             const float** logits);

/* As lutra_session_feed, for several sequences at once: *logits is float
 * [sequences, vocabulary]. `ids` are the tokens of all, one sequence after the
 * other. After a failure lutra_sequence_position says what was fed. */
LUTRA_EXPORT lutra_status lutra_session_feed_rows(lutra_session* session,
                                                  const lutra_rows* rows,
                                                  size_t row_count,
                                                  const int32_t* ids,
                                                  const float** logits);

/* Which special tokens lutra_model_encode adds. */
enum {
  LUTRA_SPECIAL_NONE = 0,
  LUTRA_SPECIAL_TEXT = 1,  /* those that belong around a whole text: BOS, EOS */
  LUTRA_SPECIAL_PROMPT = 2 /* those before it: the text is to be continued */
};

/* The functions from here to lutra_text_stream_create return LUTRA_NOT_FOUND if
 * the file holds no tokenizer, and LUTRA_DAMAGED or LUTRA_UNSUPPORTED if it
 * cannot be used. */

/* Encodes `bytes` bytes of UTF-8 text. Writes at most `capacity` ids and sets
 * *count to how many there are; ids may be NULL if capacity is 0. add_special
 * is a LUTRA_SPECIAL_*; other numbers count as LUTRA_SPECIAL_TEXT. */
LUTRA_EXPORT lutra_status lutra_model_encode(const lutra_model* model,
                                             const char* text, size_t bytes,
                                             int add_special, int32_t* ids,
                                             size_t capacity, size_t* count);

/* Decodes ids. Writes at most `capacity` bytes, without a final zero, and sets
 * *bytes to how many there are; text may be NULL if capacity is 0. */
LUTRA_EXPORT lutra_status lutra_model_decode(const lutra_model* model,
                                             const int32_t* ids, size_t count,
                                             char* text, size_t capacity,
                                             size_t* bytes);

/* Sets *is_end to 1 if the token ends a text, else to 0. */
LUTRA_EXPORT lutra_status lutra_model_is_end(const lutra_model* model,
                                             int32_t id, int* is_end);

/* Sets *is_unused to 1 if no text leads to the token and none comes from it,
 * else to 0. Such rows pad a vocabulary: leave them out of the mask of
 * lutra_sampler_sample_allowed. */
LUTRA_EXPORT lutra_status lutra_model_is_unused(const lutra_model* model,
                                                int32_t id, int* is_unused);

/* Text of a conversation for the model, by the chat template that was imported
 * with it. Encode it with LUTRA_SPECIAL_NONE: a template puts all special
 * tokens itself. */
typedef struct lutra_chat_options {
  size_t struct_size;
  /* JSON, or NULL for none: a list of tools, a list of documents, an object
   * with further variables of the template. */
  const char* tools;
  const char* documents;
  const char* variables;
  /* Which of several templates; NULL for the one called "default". */
  const char* template_name;
  /* Other than 0: the text ends with what begins an answer (the default); or
   * with the last message, which is to be continued. Not both. */
  int add_generation_prompt;
  int continue_final_message;
} lutra_chat_options;

LUTRA_EXPORT void lutra_chat_options_init_sized(lutra_chat_options* options,
                                                size_t struct_size);
#define lutra_chat_options_init(options) \
  lutra_chat_options_init_sized((options), sizeof(lutra_chat_options))

/* `messages` is a JSON list of objects with "role", "content" and what else the
 * template knows ("tool_calls", lists of parts as content), with a final zero.
 * Writes at most `capacity` bytes, without a final zero, and sets *bytes to how
 * many there are; text may be NULL if capacity is 0. options may be NULL for
 * the defaults.
 *
 * LUTRA_NOT_FOUND if the file holds no (such) template; LUTRA_DAMAGED if it is
 * none; LUTRA_UNSUPPORTED if it needs what lutra lacks, fails or takes too
 * long; LUTRA_INVALID_ARGUMENT for messages that are not such a list, or that
 * the template itself refuses, whose words then are the error. */
LUTRA_EXPORT lutra_status
lutra_model_apply_chat_template(const lutra_model* model, const char* messages,
                                const lutra_chat_options* options, char* text,
                                size_t capacity, size_t* bytes);

/* The same for messages of a role and a text each. */
typedef struct lutra_chat_message {
  const char* role;
  const char* content;
} lutra_chat_message;
LUTRA_EXPORT lutra_status lutra_model_apply_chat_template_to(
    const lutra_model* model, const lutra_chat_message* messages, size_t count,
    const lutra_chat_options* options, char* text, size_t capacity,
    size_t* bytes);

/* The tokens that end an answer beside those of lutra_model_is_end. Writes at
 * most `capacity` ids and sets *count to how many there are. */
LUTRA_EXPORT lutra_status lutra_model_chat_ends(const lutra_model* model,
                                                int32_t* ids, size_t capacity,
                                                size_t* count);

/* Decodes token by token into whole UTF-8 characters. With continues other
 * than 0 the tokens follow others of the same text (a prompt). */
LUTRA_EXPORT lutra_status lutra_text_stream_create(const lutra_model* model,
                                                   int continues,
                                                   lutra_text_stream** stream);
/* *text is set to the characters that the token completes, often none, and
 * *bytes to their number of bytes. Zeros are possible among them, and one
 * follows them. Owned by the stream and valid until its next call. bytes may be
 * NULL. */
LUTRA_EXPORT lutra_status lutra_text_stream_add(lutra_text_stream* stream,
                                                int32_t id, const char** text,
                                                size_t* bytes);
/* What is left at the end. */
LUTRA_EXPORT lutra_status lutra_text_stream_flush(lutra_text_stream* stream,
                                                  const char** text,
                                                  size_t* bytes);
/* NULL is allowed. */
LUTRA_EXPORT void lutra_text_stream_free(lutra_text_stream* stream);

LUTRA_EXPORT void lutra_sampler_options_init_sized(
    lutra_sampler_options* options, size_t struct_size);
#define lutra_sampler_options_init(options) \
  lutra_sampler_options_init_sized((options), sizeof(lutra_sampler_options))

/* options may be NULL for the defaults. */
LUTRA_EXPORT lutra_status
lutra_sampler_create(const lutra_sampler_options* options, size_t vocabulary,
                     lutra_sampler** sampler);
/* NULL is allowed. */
LUTRA_EXPORT void lutra_sampler_free(lutra_sampler* sampler);

/* Chooses *id by `count` logits (the vocabulary). Minus infinity excludes a
 * token. */
LUTRA_EXPORT lutra_status lutra_sampler_sample(lutra_sampler* sampler,
                                               const float* logits,
                                               size_t count, int32_t* id);
/* The same, of the tokens that a mask allows: bit id % 32, from the lowest, of
 * allowed[id / 32]. It has (count + 31) / 32 words; bits past the vocabulary
 * mean nothing. A mask that allows no token is LUTRA_INVALID_ARGUMENT. */
LUTRA_EXPORT lutra_status lutra_sampler_sample_allowed(lutra_sampler* sampler,
                                                       const float* logits,
                                                       size_t count,
                                                       const uint32_t* allowed,
                                                       int32_t* id);
/* Tells the repetition penalty of a token of the text. */
LUTRA_EXPORT lutra_status lutra_sampler_accept(lutra_sampler* sampler,
                                               int32_t id);
/* As created: the seed begins anew, no token is accepted. */
LUTRA_EXPORT lutra_status lutra_sampler_reset(lutra_sampler* sampler);

/* The natural logarithm of the probability of a token by `count` logits alone,
 * whatever a sampler does with them. */
LUTRA_EXPORT lutra_status lutra_log_probability(const float* logits,
                                                size_t count, int32_t id,
                                                float* log_probability);
/* The `top` most probable tokens, by falling probability, of equal ones the
 * lower id first: ids and log_probabilities have room for `top`, at most
 * `count`. */
LUTRA_EXPORT lutra_status lutra_top_log_probabilities(const float* logits,
                                                      size_t count, size_t top,
                                                      int32_t* ids,
                                                      float* log_probabilities);

/* ---- Constraints: which tokens may come next in a text of a grammar ---- */

typedef struct lutra_constraint_options {
  size_t struct_size;
  /* One of the two, with a final zero: a grammar in GBNF (see
   * lutra/runtime/grammar.h), or a JSON schema. */
  const char* grammar;
  const char* json_schema;
  /* Tokens that end the text beside those of lutra_model_is_end, such as those
   * of lutra_model_chat_ends; copied. */
  const int32_t* ends;
  size_t end_count;
  /* As of lutra_text_stream_create; 1. */
  int continues;
} lutra_constraint_options;

LUTRA_EXPORT void lutra_constraint_options_init_sized(
    lutra_constraint_options* options, size_t struct_size);
#define lutra_constraint_options_init(options)   \
  lutra_constraint_options_init_sized((options), \
                                      sizeof(lutra_constraint_options))

/* LUTRA_INVALID_ARGUMENT for what is no grammar, LUTRA_UNSUPPORTED for a schema
 * with keywords that no grammar can follow; the error names the place. */
LUTRA_EXPORT lutra_status lutra_constraint_create(
    const lutra_model* model, const lutra_constraint_options* options,
    lutra_constraint** constraint);
/* NULL is allowed. */
LUTRA_EXPORT void lutra_constraint_free(lutra_constraint* constraint);

/* *allowed is set to the mask for lutra_sampler_sample_allowed, owned by the
 * constraint and valid until its next call. Tokens that end the text are in it
 * where the text is complete. */
LUTRA_EXPORT lutra_status lutra_constraint_allowed(lutra_constraint* constraint,
                                                   const uint32_t** allowed);
/* Goes on by a token that was chosen; LUTRA_INVALID_ARGUMENT for one that is
 * not allowed. */
LUTRA_EXPORT lutra_status lutra_constraint_accept(lutra_constraint* constraint,
                                                  int32_t id);
/* 1 if the text so far is one of the grammar; and if nothing can follow it: the
 * text ends here. Else 0. */
LUTRA_EXPORT int lutra_constraint_is_complete(
    const lutra_constraint* constraint);
LUTRA_EXPORT int lutra_constraint_is_finished(
    const lutra_constraint* constraint);
/* The start of another text. */
LUTRA_EXPORT lutra_status lutra_constraint_reset(lutra_constraint* constraint,
                                                 int continues);

/* ---- Speculation: the same tokens, sooner ----
 *
 * Something cheap guesses the next tokens and the model looks at all of them in
 * one call; see lutra/runtime/speculation.h. Feed tokens by
 * lutra_speculation_feed in place of lutra_session_feed. */

typedef struct lutra_speculation_options {
  size_t struct_size;
  /* A session on a smaller model of the same tokenizer, which must outlive the
   * speculation and is used by it alone; NULL (the default): tokens are guessed
   * that followed the last ones when they stood in the text before. */
  lutra_session* draft;
  size_t tokens;           /* the most of a guess, 1 to 64; 8 */
  float least_probability; /* of a draft's guess; 0.3 */
} lutra_speculation_options;

LUTRA_EXPORT void lutra_speculation_options_init_sized(
    lutra_speculation_options* options, size_t struct_size);
#define lutra_speculation_options_init(options)   \
  lutra_speculation_options_init_sized((options), \
                                       sizeof(lutra_speculation_options))

/* For the session's own sequence; the session must outlive it. options may be
 * NULL for the defaults. LUTRA_UNSUPPORTED for models with recurrent nodes,
 * LUTRA_INVALID_ARGUMENT for a draft of another tokenizer. */
LUTRA_EXPORT lutra_status lutra_speculation_create(
    lutra_session* session, const lutra_speculation_options* options,
    lutra_speculation** speculation);
/* Guesses that the session was fed are taken back. NULL is allowed. */
LUTRA_EXPORT void lutra_speculation_free(lutra_speculation* speculation);

/* As lutra_session_feed; *logits is owned by the speculation or the session. */
LUTRA_EXPORT lutra_status lutra_speculation_feed(lutra_speculation* speculation,
                                                 const int32_t* ids,
                                                 size_t count,
                                                 const float** logits);
/* Tokens of the sequence without guesses, which lutra_session_position
 * counts. */
LUTRA_EXPORT size_t
lutra_speculation_position(const lutra_speculation* speculation);
/* Takes guesses back: before the session is used otherwise. */
LUTRA_EXPORT lutra_status
lutra_speculation_settle(lutra_speculation* speculation);
/* How many tokens were guessed, and how many of these were right. */
LUTRA_EXPORT lutra_status lutra_speculation_counts(
    const lutra_speculation* speculation, size_t* guessed, size_t* accepted);

#ifdef __cplusplus
}
#endif

#endif /* LUTRA_H_ */
