# 64-bit Arm Linux with the distribution's cross compiler; what it builds runs
# here under qemu-user. scripts/sysroot.sh unpacks the libraries.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)
set(CMAKE_CXX_COMPILER aarch64-linux-gnu-g++)
set(CMAKE_LIBRARY_ARCHITECTURE aarch64-linux-gnu)

get_filename_component(LUTRA_SYSROOT
                       "${CMAKE_CURRENT_LIST_DIR}/../../build/sysroot/aarch64"
                       ABSOLUTE)
set(CMAKE_FIND_ROOT_PATH "${LUTRA_SYSROOT}" /usr/aarch64-linux-gnu)
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE ONLY)

set(CMAKE_CROSSCOMPILING_EMULATOR qemu-aarch64 -L /usr/aarch64-linux-gnu)

# Which CPUs the tests run on, see tests/CMakeLists.txt: on each, the variants
# that it is the first to have.
set(LUTRA_EMULATED_CPUS
    "sve512 max,sve512=on SVE2+I8MM,SVE2,SVE+I8MM,SVE"
    "sve256 max,sve256=on SVE_256+I8MM,SVE_256"
    "sve128 max,sve128=on SVE2_128+I8MM,SVE2_128"
    "i8mm max,sve=off NEON+I8MM"
    "dotprod cortex-a76 NEON+DOTPROD"
    "neon cortex-a53 NEON")
