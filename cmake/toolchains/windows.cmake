# Windows on x86-64, with the distribution's MinGW-w64; wine runs what it builds.
# scripts/platform.sh gets what this needs.
set(CMAKE_SYSTEM_NAME Windows)
set(CMAKE_SYSTEM_PROCESSOR x86_64)
set(triple x86_64-w64-mingw32)
set(CMAKE_C_COMPILER ${triple}-gcc-posix)  # the threads of the C++ library
set(CMAKE_CXX_COMPILER ${triple}-g++-posix)
set(CMAKE_RC_COMPILER ${triple}-windres)

# g++ does not align vectors of 32 bytes on Windows' stacks, but moves them as if
# it did (https://gcc.gnu.org/PR54412). The assembler takes moves that do not care.
set(CMAKE_C_FLAGS_INIT "-Wa,-muse-unaligned-vector-move")
set(CMAKE_CXX_FLAGS_INIT "-Wa,-muse-unaligned-vector-move")
# Programs and libraries bring the C++ library along.
set(CMAKE_EXE_LINKER_FLAGS_INIT -static)
set(CMAKE_SHARED_LINKER_FLAGS_INIT -static)

get_filename_component(
  LUTRA_SYSROOT "${CMAKE_CURRENT_LIST_DIR}/../../build/sysroot/windows/usr"
  ABSOLUTE)
set(CMAKE_FIND_ROOT_PATH "${LUTRA_SYSROOT}" /usr/${triple})
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE ONLY)

set(CMAKE_CROSSCOMPILING_EMULATOR wine)
