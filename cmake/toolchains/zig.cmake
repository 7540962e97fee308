# Platforms that the distribution has no C++ library for, with the compiler of
# zig (https://ziglang.org), which is clang and brings the libraries of all of
# them. scripts/platform.sh gets what this needs; the environment's LUTRA_CROSS_CC
# and LUTRA_CROSS_CXX name other compilers.
set(LUTRA_PLATFORM "" CACHE STRING "musl, musl-arm64, macos-arm64 or macos-x86_64")
list(APPEND CMAKE_TRY_COMPILE_PLATFORM_VARIABLES LUTRA_PLATFORM)

if(LUTRA_PLATFORM STREQUAL "musl")
  set(CMAKE_SYSTEM_NAME Linux)
  set(CMAKE_SYSTEM_PROCESSOR x86_64)
  set(triple x86_64-linux-musl)
elseif(LUTRA_PLATFORM STREQUAL "musl-arm64")
  set(CMAKE_SYSTEM_NAME Linux)
  set(CMAKE_SYSTEM_PROCESSOR aarch64)
  set(triple aarch64-linux-musl)
  set(CMAKE_CROSSCOMPILING_EMULATOR qemu-aarch64)
  set(LUTRA_EMULATED_CPUS "i8mm max,sve=off NEON+I8MM,NEON+DOTPROD,NEON")
elseif(LUTRA_PLATFORM STREQUAL "macos-arm64")
  set(CMAKE_SYSTEM_NAME Darwin)
  set(CMAKE_SYSTEM_PROCESSOR arm64)
  set(triple aarch64-macos)
elseif(LUTRA_PLATFORM STREQUAL "macos-x86_64")
  set(CMAKE_SYSTEM_NAME Darwin)
  set(CMAKE_SYSTEM_PROCESSOR x86_64)
  set(triple x86_64-macos)
else()
  message(FATAL_ERROR "LUTRA_PLATFORM: '${LUTRA_PLATFORM}' is none of those above")
endif()

get_filename_component(sysroot "${CMAKE_CURRENT_LIST_DIR}/../../build/sysroot"
                       ABSOLUTE)
if(DEFINED ENV{LUTRA_CROSS_CXX})
  set(CMAKE_C_COMPILER "$ENV{LUTRA_CROSS_CC}")
  set(CMAKE_CXX_COMPILER "$ENV{LUTRA_CROSS_CXX}")
else()
  set(CMAKE_C_COMPILER "${sysroot}/zig/bin/cc")
  set(CMAKE_CXX_COMPILER "${sysroot}/zig/bin/c++")
  # GNU's know nothing of macOS' files.
  set(CMAKE_AR "${sysroot}/zig/bin/ar" CACHE FILEPATH "")
  set(CMAKE_RANLIB "${sysroot}/zig/bin/ranlib" CACHE FILEPATH "")
  set(CMAKE_INSTALL_NAME_TOOL true CACHE FILEPATH "")  # nothing is installed
endif()
set(CMAKE_C_COMPILER_TARGET ${triple})  # of clang
set(CMAKE_CXX_COMPILER_TARGET ${triple})
if(CMAKE_SYSTEM_NAME STREQUAL "Linux")
  set(CMAKE_EXE_LINKER_FLAGS_INIT -static)  # so that it runs where there is no musl
endif()

set(CMAKE_FIND_ROOT_PATH "${sysroot}/zig-headers")
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE ONLY)
