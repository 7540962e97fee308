# Android on 64-bit Arm, with its NDK in the environment's ANDROID_NDK_HOME; the
# C++ library goes into programs and libraries. scripts/platform.sh gets the rest.
set(ANDROID_ABI arm64-v8a CACHE STRING "Processor")
# The first whose C library has aligned_alloc.
set(ANDROID_PLATFORM android-28 CACHE STRING "Oldest version of Android")
set(ANDROID_STL c++_static CACHE STRING "C++ library")
include("$ENV{ANDROID_NDK_HOME}/build/cmake/android.toolchain.cmake")

get_filename_component(headers
  "${CMAKE_CURRENT_LIST_DIR}/../../build/sysroot/zig-headers" ABSOLUTE)
list(APPEND CMAKE_FIND_ROOT_PATH "${headers}")
