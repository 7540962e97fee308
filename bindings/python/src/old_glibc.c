// Lets a wheel that is built on a newer system run on glibc 2.28 (x86-64): each
// function that has had a new version since, called by that of then. The linker
// puts __wrap_NAME in the place of NAME (--wrap; CMakeLists.txt has the list).

#include <pthread.h>
#include <sys/stat.h>
#include <time.h>

// `old`, which is declared before, is NAME as it was at first.
#define LUTRA_OLD(old, name) __asm__(".symver " #old "," #name "@GLIBC_2.2.5")

// Of shared counts of the C++ library: threads may be there, always.
char __libc_single_threaded = 0;

// Without the report of errors by `matherr`, which nobody defines.
#define LUTRA_OLD_UNARY(name)        \
  double lutra_old_##name(double x); \
  LUTRA_OLD(lutra_old_##name, name); \
  double __wrap_##name(double x);    \
  double __wrap_##name(double x) { return lutra_old_##name(x); }
LUTRA_OLD_UNARY(exp)
LUTRA_OLD_UNARY(log)

double lutra_old_pow(double x, double y);
LUTRA_OLD(lutra_old_pow, pow);
double __wrap_pow(double x, double y);
double __wrap_pow(double x, double y) { return lutra_old_pow(x, y); }

// Until 2.33 these were macros around functions with a version of the struct.
enum { kStatVersion = 1 };
int lutra_old_stat(int version, const char* path, struct stat* result);
int lutra_old_lstat(int version, const char* path, struct stat* result);
int lutra_old_fstat(int version, int file, struct stat* result);
LUTRA_OLD(lutra_old_stat, __xstat);
LUTRA_OLD(lutra_old_lstat, __lxstat);
LUTRA_OLD(lutra_old_fstat, __fxstat);
int __wrap_stat(const char* path, struct stat* result);
int __wrap_lstat(const char* path, struct stat* result);
int __wrap_fstat(int file, struct stat* result);
int __wrap_fstat64(int file, struct stat* result);
int __wrap_stat(const char* path, struct stat* result) {
  return lutra_old_stat(kStatVersion, path, result);
}
int __wrap_lstat(const char* path, struct stat* result) {
  return lutra_old_lstat(kStatVersion, path, result);
}
int __wrap_fstat(int file, struct stat* result) {
  return lutra_old_fstat(kStatVersion, file, result);
}
int __wrap_fstat64(int file, struct stat* result) {
  return lutra_old_fstat(kStatVersion, file, result);
}

// Of libpthread until 2.34.
int lutra_old_create(pthread_t* thread, const pthread_attr_t* attributes,
                     void* (*start)(void*), void* argument);
int lutra_old_join(pthread_t thread, void** result);
int lutra_old_once(pthread_once_t* once, void (*function)(void));
int lutra_old_key_create(pthread_key_t* key, void (*destructor)(void*));
int lutra_old_trylock(pthread_mutex_t* mutex);
int lutra_old_rdlock(pthread_rwlock_t* lock);
int lutra_old_wrlock(pthread_rwlock_t* lock);
int lutra_old_unlock(pthread_rwlock_t* lock);
LUTRA_OLD(lutra_old_create, pthread_create);
LUTRA_OLD(lutra_old_join, pthread_join);
LUTRA_OLD(lutra_old_once, pthread_once);
LUTRA_OLD(lutra_old_key_create, __pthread_key_create);
LUTRA_OLD(lutra_old_trylock, pthread_mutex_trylock);
LUTRA_OLD(lutra_old_rdlock, pthread_rwlock_rdlock);
LUTRA_OLD(lutra_old_wrlock, pthread_rwlock_wrlock);
LUTRA_OLD(lutra_old_unlock, pthread_rwlock_unlock);
int __wrap_pthread_create(pthread_t* thread, const pthread_attr_t* attributes,
                          void* (*start)(void*), void* argument);
int __wrap_pthread_join(pthread_t thread, void** result);
int __wrap_pthread_once(pthread_once_t* once, void (*function)(void));
int __wrap___pthread_key_create(pthread_key_t* key, void (*destructor)(void*));
int __wrap_pthread_mutex_trylock(pthread_mutex_t* mutex);
int __wrap_pthread_rwlock_rdlock(pthread_rwlock_t* lock);
int __wrap_pthread_rwlock_wrlock(pthread_rwlock_t* lock);
int __wrap_pthread_rwlock_unlock(pthread_rwlock_t* lock);
int __wrap_pthread_create(pthread_t* thread, const pthread_attr_t* attributes,
                          void* (*start)(void*), void* argument) {
  return lutra_old_create(thread, attributes, start, argument);
}
int __wrap_pthread_join(pthread_t thread, void** result) {
  return lutra_old_join(thread, result);
}
int __wrap_pthread_once(pthread_once_t* once, void (*function)(void)) {
  return lutra_old_once(once, function);
}
int __wrap___pthread_key_create(pthread_key_t* key, void (*destructor)(void*)) {
  return lutra_old_key_create(key, destructor);
}
int __wrap_pthread_mutex_trylock(pthread_mutex_t* mutex) {
  return lutra_old_trylock(mutex);
}
int __wrap_pthread_rwlock_rdlock(pthread_rwlock_t* lock) {
  return lutra_old_rdlock(lock);
}
int __wrap_pthread_rwlock_wrlock(pthread_rwlock_t* lock) {
  return lutra_old_wrlock(lock);
}
int __wrap_pthread_rwlock_unlock(pthread_rwlock_t* lock) {
  return lutra_old_unlock(lock);
}

// New in 2.30: by the clock that there was.
int __wrap_pthread_cond_clockwait(pthread_cond_t* condition,
                                  pthread_mutex_t* mutex, clockid_t clock,
                                  const struct timespec* until);
int __wrap_pthread_cond_clockwait(pthread_cond_t* condition,
                                  pthread_mutex_t* mutex, clockid_t clock,
                                  const struct timespec* until) {
  enum { kSecond = 1000000000 };
  struct timespec now;
  struct timespec end;
  clock_gettime(clock, &now);
  clock_gettime(CLOCK_REALTIME, &end);
  end.tv_sec += until->tv_sec - now.tv_sec;
  end.tv_nsec += until->tv_nsec - now.tv_nsec;
  if (end.tv_nsec < 0) {
    end.tv_nsec += kSecond;
    --end.tv_sec;
  } else if (end.tv_nsec >= kSecond) {
    end.tv_nsec -= kSecond;
    ++end.tv_sec;
  }
  return pthread_cond_timedwait(condition, mutex, &end);
}
