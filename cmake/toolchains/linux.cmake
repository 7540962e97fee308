# Linux on another processor, LUTRA_PLATFORM, with the distribution's cross
# compiler (or clang, by CMAKE_CXX_COMPILER, with that one's libraries); what it
# builds runs here under qemu-user. scripts/platform.sh gets what this needs.
set(LUTRA_PLATFORM "" CACHE STRING "aarch64, armhf, i386 or riscv64")
list(APPEND CMAKE_TRY_COMPILE_PLATFORM_VARIABLES LUTRA_PLATFORM)

# Which CPUs the tests run on, see tests/CMakeLists.txt: on each, the variants
# that it is the first to have.
if(LUTRA_PLATFORM STREQUAL "aarch64")
  set(CMAKE_SYSTEM_PROCESSOR aarch64)
  set(triple aarch64-linux-gnu)
  set(CMAKE_LIBRARY_ARCHITECTURE aarch64-linux-gnu)
  set(emulator qemu-aarch64)
  set(LUTRA_EMULATED_CPUS
      "sve512 max,sve512=on SVE2+I8MM,SVE2,SVE+I8MM,SVE"
      "sve256 max,sve256=on SVE_256+I8MM,SVE_256"
      "sve128 max,sve128=on SVE2_128+I8MM,SVE2_128"
      "i8mm max,sve=off NEON+I8MM"
      "dotprod cortex-a76 NEON+DOTPROD"
      "neon cortex-a53 NEON")
elseif(LUTRA_PLATFORM STREQUAL "armhf")
  set(CMAKE_SYSTEM_PROCESSOR armv7l)
  set(triple arm-linux-gnueabihf)
  set(CMAKE_LIBRARY_ARCHITECTURE arm-linux-gnueabihf)
  set(emulator qemu-arm)
  set(CMAKE_CXX_FLAGS_INIT -Wno-psabi)  # what g++ 7 passes otherwise than g++ 6
  set(LUTRA_EMULATED_CPUS "armv7 cortex-a15 SCALAR,EMU128")
elseif(LUTRA_PLATFORM STREQUAL "i386")
  set(CMAKE_SYSTEM_PROCESSOR i686)
  set(triple i686-linux-gnu)
  set(CMAKE_LIBRARY_ARCHITECTURE i386-linux-gnu)
  set(emulator qemu-i386)
  set(LUTRA_EMULATED_CPUS "sse4 max SSE4,SSSE3"
                          "sse2 kvm32 SCALAR,EMU128")
elseif(LUTRA_PLATFORM STREQUAL "riscv64")
  set(CMAKE_SYSTEM_PROCESSOR riscv64)
  set(triple riscv64-linux-gnu)
  set(CMAKE_LIBRARY_ARCHITECTURE riscv64-linux-gnu)
  set(emulator qemu-riscv64)
  set(LUTRA_EMULATED_CPUS "rv64gc rv64 SCALAR,EMU128")
else()
  message(FATAL_ERROR "LUTRA_PLATFORM: '${LUTRA_PLATFORM}' is none of those above")
endif()

set(CMAKE_SYSTEM_NAME Linux)
if(NOT CMAKE_C_COMPILER)
  set(CMAKE_C_COMPILER ${triple}-gcc)
endif()
if(NOT CMAKE_CXX_COMPILER)
  set(CMAKE_CXX_COMPILER ${triple}-g++)
endif()
set(CMAKE_C_COMPILER_TARGET ${triple})  # of clang
set(CMAKE_CXX_COMPILER_TARGET ${triple})

get_filename_component(
  LUTRA_SYSROOT
  "${CMAKE_CURRENT_LIST_DIR}/../../build/sysroot/${LUTRA_PLATFORM}" ABSOLUTE)
set(CMAKE_FIND_ROOT_PATH "${LUTRA_SYSROOT}" /usr/${triple})
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE ONLY)

set(CMAKE_CROSSCOMPILING_EMULATOR ${emulator} -L /usr/${triple})
