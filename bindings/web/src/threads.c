/* Instances of the module that share its memory: the one that JavaScript calls,
 * and helpers in workers (worker.js), which take pieces of its loops.
 *
 * emscripten's threads are those of its own JavaScript, so its C library is
 * told here what it is to know of them. */
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "bindings/web/src/executor.h"

#define LUTRA_WEB(name) __attribute__((export_name(#name))) name

extern void __wasm_call_ctors(void);
extern void __wasm_init_tls(void* memory);
extern void __emscripten_init_main_thread(void);
extern void _emscripten_thread_init(void* state, int is_main, int is_runtime,
                                    int can_wait, int profiles);

/* What it calls the state of a thread has some 200 bytes, and may be zeros. */
enum { STATE = 1024 };
/* How often a thread looks for what is to come before it sleeps: some ten
 * microseconds, as the operators of a call follow each other. */
enum { LOOKS = 20000 };

static struct {
  /* The number of the loop, and how many of its pieces nobody has taken. */
  _Atomic uint64_t ticket;
  /* Written before that, and read by those who have taken a piece. */
  void (*task)(void* argument, size_t index);
  void* argument;
  _Atomic int32_t unfinished; /* pieces */
  _Atomic int32_t loops;      /* changes with each of them */
  _Atomic int32_t sleeping;   /* helpers that wait for that */
  _Atomic uint32_t helped;    /* pieces that helpers took */
  uint32_t number;
  int can_wait; /* not on a page's own thread */
} team;
static lutra_executor executor;
static int has_helpers = 0;

/* Waits while *at is `value`, for `ns` at most if that is not negative. */
static void Wait(_Atomic int32_t* at, int32_t value, int64_t ns) {
  __builtin_wasm_memory_atomic_wait32((int32_t*)at, value, ns);
}
static void Wake(_Atomic int32_t* at) {
  __builtin_wasm_memory_atomic_notify((int32_t*)at, UINT32_MAX);
}

/* Returns how many it took. */
static uint32_t TakePieces(void) {
  uint32_t taken = 0;
  uint64_t ticket = atomic_load(&team.ticket);
  while ((uint32_t)ticket != 0) {
    if (!atomic_compare_exchange_weak(&team.ticket, &ticket, ticket - 1)) {
      continue;
    }
    team.task(team.argument, (uint32_t)ticket - 1);
    if (atomic_fetch_sub(&team.unfinished, 1) == 1) Wake(&team.unfinished);
    ticket = atomic_load(&team.ticket);
    ++taken;
  }
  return taken;
}

static void Run(void* context, size_t tasks,
                void (*task)(void* argument, size_t index), void* argument) {
  (void)context;
  team.task = task;
  team.argument = argument;
  atomic_store(&team.unfinished, (int32_t)tasks);
  atomic_store(&team.ticket, (uint64_t)++team.number << 32 | tasks);
  atomic_fetch_add(&team.loops, 1);
  if (atomic_load(&team.sleeping) != 0) Wake(&team.loops);
  TakePieces();
  for (int looks = 0;; ++looks) {
    const int32_t unfinished = atomic_load(&team.unfinished);
    if (unfinished == 0) return;
    if (looks > LOOKS && team.can_wait) Wait(&team.unfinished, unfinished, -1);
  }
}

const lutra_executor* LutraWebExecutor(void) {
  return has_helpers ? &executor : NULL;
}

static int main_can_wait;
void __emscripten_init_main_thread_js(void* state);
void __emscripten_init_main_thread_js(void* state) {
  _emscripten_thread_init(state, !main_can_wait, 1, main_can_wait, 0);
}

/* Both of the instance that JavaScript calls, once, before all else. */
void LUTRA_WEB(lutra_web_begin)(int can_wait) {
  main_can_wait = can_wait;
  team.can_wait = can_wait;
  __emscripten_init_main_thread();
}
void LUTRA_WEB(_initialize)(void) { __wasm_call_ctors(); }

/* How many bytes a helper needs beside its stack. */
size_t LUTRA_WEB(lutra_web_helper_bytes)(void) {
  return STATE + __builtin_wasm_tls_size() + __builtin_wasm_tls_align();
}

/* The sessions that are made from now on run on so many threads. */
void LUTRA_WEB(lutra_web_set_threads)(size_t threads) {
  lutra_executor_init(&executor);
  executor.threads = threads;
  executor.run = Run;
  has_helpers = threads > 1;
}

/* How many pieces of loops helpers have taken; for tests. */
uint32_t LUTRA_WEB(lutra_web_helped)(void) { return atomic_load(&team.helped); }

/* Of a helper's instance, which is in it until its worker ends. memory: zeros,
 * aligned to 16. */
void LUTRA_WEB(lutra_web_help)(void* memory) {
  const size_t align = __builtin_wasm_tls_align();
  const uintptr_t end = (uintptr_t)memory + STATE;
  __wasm_init_tls((void*)((end + align - 1) / align * align));
  _emscripten_thread_init(memory, 0, 0, 1, 0);
  for (;;) {
    const int32_t loops = atomic_load(&team.loops);
    const uint32_t taken = TakePieces();
    if (taken != 0) atomic_fetch_add(&team.helped, taken);
    int looks = 0;
    while (looks < LOOKS && atomic_load(&team.loops) == loops) ++looks;
    if (looks < LOOKS) continue;
    atomic_fetch_add(&team.sleeping, 1);
    Wait(&team.loops, loops, -1);
    atomic_fetch_sub(&team.sleeping, 1);
  }
}
