# WebAssembly with SIMD, by the distribution's emscripten; node runs it.
# scripts/sysroot.sh unpacks the headers of Highway.
include(/usr/share/emscripten/cmake/Modules/Platform/Emscripten.cmake)

get_filename_component(LUTRA_SYSROOT
                       "${CMAKE_CURRENT_LIST_DIR}/../../build/sysroot/wasm/usr"
                       ABSOLUTE)
list(APPEND CMAKE_FIND_ROOT_PATH "${LUTRA_SYSROOT}")

# Engines with SIMD and exceptions have the rest, too. Nothing asks for the types
# of objects, whose names would be a tenth of the data.
set(CMAKE_C_FLAGS_INIT
    "-msimd128 -fwasm-exceptions -mbulk-memory -msign-ext -mnontrapping-fptoint \
-mmutable-globals")
if(LUTRA_WEB_THREADS)  # shares its memory with instances in workers
  string(APPEND CMAKE_C_FLAGS_INIT
         " -matomics -fthreadsafe-statics -D_REENTRANT -D__EMSCRIPTEN_PTHREADS__=1")
endif()
set(CMAKE_CXX_FLAGS_INIT
    "${CMAKE_C_FLAGS_INIT} -fno-rtti -include \
\"${CMAKE_CURRENT_LIST_DIR}/wasm_std.h\"")
# Linking with optimisation takes minutes in emscripten 3.1.6.
set(CMAKE_EXE_LINKER_FLAGS_RELEASE_INIT -O1)
set(CMAKE_EXE_LINKER_FLAGS_MINSIZEREL_INIT -O1)
# One file, which also spares emscripten 3.1.6 a fetch() that newer releases of
# node refuse; the machine's files are visible, for test data.
set(CMAKE_EXE_LINKER_FLAGS_INIT
    "-fwasm-exceptions -sSINGLE_FILE=1 -sNODERAWFS=1 -sALLOW_MEMORY_GROWTH=1")
set(CMAKE_CROSSCOMPILING_EMULATOR node)
set(LUTRA_EMULATED_CPUS "simd128 none WASM")
