#ifndef LUTRA_TESTS_RUNTIME_C_API_USE_H_
#define LUTRA_TESTS_RUNTIME_C_API_USE_H_

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Loads the model, describes its first input and output in `description`, runs
 * `tokens` tokens. Returns 0, or the number of the step that failed. Written in
 * C, to see that lutra.h is C. */
int UseLutraFromC(const char* path, size_t threads, size_t tokens,
                  const float* x, float* y, char* description,
                  size_t description_size);

#ifdef __cplusplus
}
#endif

#endif /* LUTRA_TESTS_RUNTIME_C_API_USE_H_ */
