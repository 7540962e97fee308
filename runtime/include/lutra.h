#ifndef LUTRA_H_
#define LUTRA_H_

/* lutra's C API: load a model file, run it.
 *
 * Functions that can fail return a lutra_status; lutra_last_error() then gives
 * one line with the cause for the calling thread. Nothing here aborts, prints
 * or throws. Every pointer argument must be valid unless it says otherwise.
 *
 * A model is immutable and may be shared by sessions on several threads; a
 * session is used by one thread at a time. Freeing a model while sessions use
 * it is allowed (it lives until the last of them is freed).
 */

#include <stddef.h>
#include <stdint.h>

#if defined(_WIN32)
#define LUTRA_EXPORT __declspec(dllexport)
#else
#define LUTRA_EXPORT __attribute__((visibility("default")))
#endif

#ifdef __cplusplus
extern "C" {
#endif

typedef struct lutra_model lutra_model;
typedef struct lutra_session lutra_session;
struct pthreadpool;

typedef enum lutra_status {
  LUTRA_OK = 0,
  LUTRA_INVALID_ARGUMENT = 1, /* a null pointer, a wrong index or count */
  LUTRA_INVALID_MODEL = 2,    /* the file is missing, damaged or unsupported */
  LUTRA_OUT_OF_MEMORY = 3,
  LUTRA_INTERNAL = 4
} lutra_status;

typedef enum lutra_type { LUTRA_FLOAT32 = 0, LUTRA_INT32 = 1 } lutra_type;

typedef enum lutra_activations {
  LUTRA_ACTIVATIONS_INT8_ASYMMETRIC = 0,
  LUTRA_ACTIVATIONS_INT8_SYMMETRIC = 1,
  LUTRA_ACTIVATIONS_FLOAT32 = 2
} lutra_activations;

enum { LUTRA_MAX_RANK = 8 };

/* Describes an input or output. */
typedef struct lutra_value_info {
  const char* name; /* owned by the model */
  lutra_type type;
  size_t rank;                  /* without the token dimension */
  size_t shape[LUTRA_MAX_RANK]; /* likewise; the rest is 0 */
  size_t elements;              /* per token */
} lutra_value_info;

/* Fill with lutra_session_options_init, then change what you need. */
typedef struct lutra_session_options {
  size_t struct_size; /* set by init; lets later versions add fields */
  lutra_activations activations;
  size_t threads; /* 0: one per core; ignored when thread_pool is given */
  struct pthreadpool* thread_pool; /* the app's own pool, or NULL */
} lutra_session_options;

/* "0.1.0", static. */
LUTRA_EXPORT const char* lutra_version(void);
/* Cause of the last failure on this thread; "" if none. Valid until the next
 * call on this thread. */
LUTRA_EXPORT const char* lutra_last_error(void);

LUTRA_EXPORT lutra_status lutra_model_load(const char* path,
                                           lutra_model** model);
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

/* Sets the defaults. The macro passes the size of the struct that the caller
 * was compiled with, so that a newer library does not write past its end. */
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
 * the model. */
LUTRA_EXPORT lutra_status lutra_session_run(
    lutra_session* session, size_t tokens, const void* const* inputs,
    size_t input_count, float* const* outputs, size_t output_count);

#ifdef __cplusplus
}
#endif

#endif /* LUTRA_H_ */
