/* A library for LD_PRELOAD that makes calls of the C library fail, see
   interpose.h. Each function counts its call, and either fails or calls the
   one whose name it has taken. */

#define _GNU_SOURCE

#include "tests/faults/interpose.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { kLongestRun = 600, kDay = 24 * 60 * 60 }; /* seconds */
enum { kMostFiles = 1024 };

static atomic_bool armed;
static atomic_ulong counts[LUTRA_CALL_COUNT];
static int fault_call = -1;
static unsigned long fault_number;
static int fault_effect;
static int fault_lasts;

/* What becomes of this call: 0: nothing, else an errno or effect. */
static int Fate(enum lutra_call call) {
  if (!atomic_load(&armed)) return 0;
  const unsigned long number = atomic_fetch_add(&counts[call], 1) + 1;
  if ((int)call != fault_call || number < fault_number) return 0;
  if (number > fault_number && !fault_lasts) return 0;
  if (fault_effect == LUTRA_EFFECT_KILL) kill(getpid(), SIGKILL);
  return fault_effect;
}

/* Whether this call fails, with errno set. */
static int Fails(enum lutra_call call) {
  const int fate = Fate(call);
  if (fate == 0 || fate == LUTRA_EFFECT_SHORT) return 0;
  errno = fate;
  return 1;
}

/* How many of the bytes are read or written; 0, with errno set: it fails. */
static size_t Part(enum lutra_call call, size_t bytes) {
  const int fate = Fate(call);
  if (fate == 0 || bytes == 0) return bytes;
  if (fate == LUTRA_EFFECT_SHORT) return (bytes + 1) / 2;
  errno = fate;
  return 0;
}

/* `next`: what has the name without this library. */
#define NEXT(type, name, ...)       \
  static type (*next)(__VA_ARGS__); \
  if (next == NULL) *(void**)(void*)&next = dlsym(RTLD_NEXT, #name)

/* Calls count from the begin of main to its end: what libraries do before and
   after is not the program's. */

static int (*program)(int, char**, char**);

static int CountedMain(int argc, char** argv, char** environment) {
  const char* fault = getenv("LUTRA_FAULT");
  if (fault != NULL && sscanf(fault, "%d %lu %d %d", &fault_call, &fault_number,
                              &fault_effect, &fault_lasts) != 4) {
    abort();
  }
  alarm(kLongestRun);
  atomic_store(&armed, 1);
  const int status = program(argc, argv, environment);
  atomic_store(&armed, 0);
  const char* path = getenv("LUTRA_FAULT_COUNTS");
  FILE* const file = path == NULL ? NULL : fopen(path, "w");
  if (file != NULL) {
    for (int i = 0; i < LUTRA_CALL_COUNT; ++i) {
      fprintf(file, "%lu\n", atomic_load(&counts[i]));
    }
    fclose(file);
  }
  return status;
}

int __libc_start_main(int (*main)(int, char**, char**), int argc, char** argv,
                      void (*init)(void), void (*fini)(void),
                      void (*loader_fini)(void), void* stack_end);
int __libc_start_main(int (*main)(int, char**, char**), int argc, char** argv,
                      void (*init)(void), void (*fini)(void),
                      void (*loader_fini)(void), void* stack_end) {
  NEXT(int, __libc_start_main, int (*)(int, char**, char**), int, char**,
       void (*)(void), void (*)(void), void (*)(void), void*);
  program = main;
  return next(&CountedMain, argc, argv, init, fini, loader_fini, stack_end);
}

/* Memory. The C library's functions have these names as well. Where there is no
   more of it, what is freed can be had again. */

void* __libc_malloc(size_t size);
void* __libc_calloc(size_t count, size_t size);
void* __libc_realloc(void* memory, size_t size);
void* __libc_memalign(size_t alignment, size_t size);
void __libc_free(void* memory);

static atomic_bool exhausted;
static atomic_long freed; /* bytes since then */

static int Refused(size_t size) {
  if (atomic_load(&exhausted) && atomic_load(&armed)) {
    if (atomic_fetch_sub(&freed, (long)size) >= (long)size) return 0;
    atomic_fetch_add(&freed, (long)size);
    errno = ENOMEM;
    return 1;
  }
  if (!Fails(LUTRA_CALL_ALLOCATE)) return 0;
  if (fault_lasts) atomic_store(&exhausted, 1);
  return 1;
}

void* malloc(size_t size) { return Refused(size) ? NULL : __libc_malloc(size); }
void* calloc(size_t count, size_t size) {
  return Refused(count * size) ? NULL : __libc_calloc(count, size);
}
void* realloc(void* memory, size_t size) {
  return Refused(size) ? NULL : __libc_realloc(memory, size);
}
void free(void* memory) {
  if (atomic_load(&exhausted)) {
    atomic_fetch_add(&freed, (long)malloc_usable_size(memory));
  }
  __libc_free(memory);
}
void* memalign(size_t alignment, size_t size) {
  return Refused(size) ? NULL : __libc_memalign(alignment, size);
}
void* aligned_alloc(size_t alignment, size_t size) {
  return memalign(alignment, size);
}
int posix_memalign(void** memory, size_t alignment, size_t size) {
  void* const taken = memalign(alignment, size);
  if (taken == NULL) return ENOMEM;
  *memory = taken;
  return 0;
}

/* Files. Each function has a twin for large files. */

/* Those of the system count apart, and what is read from them not at all:
   libcpuinfo of Debian 12 crashes if one of two reads of the same file fails.
 */

static atomic_bool of_system[kMostFiles];

static enum lutra_call CallToOpen(const char* path) {
  return strncmp(path, "/proc/", 6) == 0 || strncmp(path, "/sys/", 5) == 0
             ? LUTRA_CALL_OPEN_SYSTEM
             : LUTRA_CALL_OPEN;
}

static int Opened(int file, enum lutra_call call) {
  if (file >= 0 && file < kMostFiles) {
    atomic_store(&of_system[file], call == LUTRA_CALL_OPEN_SYSTEM);
  }
  return file;
}

static int OfSystem(int file) {
  return file >= 0 && file < kMostFiles && atomic_load(&of_system[file]);
}

#define OPEN(name)                                                   \
  int name(const char* path, int flags, ...) {                       \
    NEXT(int, name, const char*, int, ...);                          \
    va_list list;                                                    \
    va_start(list, flags);                                           \
    const mode_t mode = flags & O_CREAT ? va_arg(list, mode_t) : 0;  \
    va_end(list);                                                    \
    const enum lutra_call call = CallToOpen(path);                   \
    return Fails(call) ? -1 : Opened(next(path, flags, mode), call); \
  }
OPEN(open)
OPEN(open64)

#define OPENAT(name)                                                       \
  int name(int folder, const char* path, int flags, ...) {                 \
    NEXT(int, name, int, const char*, int, ...);                           \
    va_list list;                                                          \
    va_start(list, flags);                                                 \
    const mode_t mode = flags & O_CREAT ? va_arg(list, mode_t) : 0;        \
    va_end(list);                                                          \
    return Fails(LUTRA_CALL_OPEN)                                          \
               ? -1                                                        \
               : Opened(next(folder, path, flags, mode), LUTRA_CALL_OPEN); \
  }
OPENAT(openat)
OPENAT(openat64)

/* Not by open, which the C library calls under a name of its own. */
DIR* opendir(const char* path) {
  NEXT(DIR*, opendir, const char*);
  return Fails(CallToOpen(path)) ? NULL : next(path);
}

#define FOPEN(name)                                           \
  FILE* name(const char* path, const char* mode) {            \
    NEXT(FILE*, name, const char*, const char*);              \
    return Fails(CallToOpen(path)) ? NULL : next(path, mode); \
  }
FOPEN(fopen)
FOPEN(fopen64)

#define STAT(name, file, status)                       \
  int name(file of, status* to) {                      \
    NEXT(int, name, file, status*);                    \
    return Fails(LUTRA_CALL_STAT) ? -1 : next(of, to); \
  }
STAT(stat, const char*, struct stat)
STAT(stat64, const char*, struct stat64)
STAT(lstat, const char*, struct stat)
STAT(lstat64, const char*, struct stat64)
STAT(fstat, int, struct stat)
STAT(fstat64, int, struct stat64)

ssize_t read(int file, void* bytes, size_t size) {
  NEXT(ssize_t, read, int, void*, size_t);
  if (OfSystem(file)) return next(file, bytes, size);
  const size_t part = Part(LUTRA_CALL_READ, size);
  return part == 0 && size > 0 ? -1 : next(file, bytes, part);
}

#define PREAD(name, offset)                                          \
  ssize_t name(int file, void* bytes, size_t size, offset at) {      \
    NEXT(ssize_t, name, int, void*, size_t, offset);                 \
    const size_t part = Part(LUTRA_CALL_READ, size);                 \
    return part == 0 && size > 0 ? -1 : next(file, bytes, part, at); \
  }
PREAD(pread, off_t)
PREAD(pread64, off64_t)

ssize_t write(int file, const void* bytes, size_t size) {
  NEXT(ssize_t, write, int, const void*, size_t);
  if (file == STDERR_FILENO) return next(file, bytes, size);
  const size_t part = Part(LUTRA_CALL_WRITE, size);
  return part == 0 && size > 0 ? -1 : next(file, bytes, part);
}

#define PWRITE(name, offset)                                          \
  ssize_t name(int file, const void* bytes, size_t size, offset at) { \
    NEXT(ssize_t, name, int, const void*, size_t, offset);            \
    const size_t part = Part(LUTRA_CALL_WRITE, size);                 \
    return part == 0 && size > 0 ? -1 : next(file, bytes, part, at);  \
  }
PWRITE(pwrite, off_t)
PWRITE(pwrite64, off64_t)

ssize_t writev(int file, const struct iovec* pieces, int count) {
  NEXT(ssize_t, writev, int, const struct iovec*, int);
  if (file == STDERR_FILENO) return next(file, pieces, count);
  const size_t part = Part(LUTRA_CALL_WRITE, (size_t)count);
  return part == 0 && count > 0 ? -1 : next(file, pieces, (int)part);
}

#define MMAP(name, offset)                                        \
  void* name(void* at, size_t size, int may, int flags, int file, \
             offset from) {                                       \
    NEXT(void*, name, void*, size_t, int, int, int, offset);      \
    if (file >= 0 && Fails(LUTRA_CALL_MAP)) return MAP_FAILED;    \
    return next(at, size, may, flags, file, from);                \
  }
MMAP(mmap, off_t)
MMAP(mmap64, off64_t)

int flock(int file, int operation) {
  NEXT(int, flock, int, int);
  return Fails(LUTRA_CALL_LOCK) ? -1 : next(file, operation);
}

int close(int file) {
  NEXT(int, close, int);
  const int fails = Fails(LUTRA_CALL_CLOSE);
  const int error = errno;
  const int result = next(file); /* an error is reported, not the closing */
  errno = fails ? error : errno;
  return fails ? -1 : result;
}

int rename(const char* from, const char* to) {
  NEXT(int, rename, const char*, const char*);
  return Fails(LUTRA_CALL_RENAME) ? -1 : next(from, to);
}

int mkdir(const char* path, mode_t mode) {
  NEXT(int, mkdir, const char*, mode_t);
  return Fails(LUTRA_CALL_MAKE_FOLDER) ? -1 : next(path, mode);
}

/* Threads. */

int pthread_create(pthread_t* thread, const pthread_attr_t* attributes,
                   void* (*run)(void*), void* argument) {
  NEXT(int, pthread_create, pthread_t*, const pthread_attr_t*, void* (*)(void*),
       void*);
  const int fails = Fails(LUTRA_CALL_THREAD);
  return fails ? errno : next(thread, attributes, run, argument);
}

/* Clocks. */

static time_t Jump(clockid_t clock) {
  if (clock != CLOCK_REALTIME && clock != CLOCK_MONOTONIC) return 0;
  switch (Fate(LUTRA_CALL_CLOCK)) {
    case LUTRA_EFFECT_FORWARD:
      return kDay;
    case LUTRA_EFFECT_BACK:
      return clock == CLOCK_REALTIME ? -kDay : 0;
    default:
      return 0;
  }
}

int clock_gettime(clockid_t clock, struct timespec* now) {
  NEXT(int, clock_gettime, clockid_t, struct timespec*);
  const int result = next(clock, now);
  if (result == 0) now->tv_sec += Jump(clock);
  return result;
}

time_t time(time_t* now) {
  struct timespec fine;
  clock_gettime(CLOCK_REALTIME, &fine);
  if (now != NULL) *now = fine.tv_sec;
  return fine.tv_sec;
}
