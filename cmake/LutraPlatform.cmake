# What depends on the processor that is built for.

# LUTRA_PROCESSOR: x86 or arm, which come with several instruction sets, or
# empty. The names are those of systems (and of emscripten, which says x86); a
# 64-bit kernel also runs systems of 32 bits.
set(LUTRA_PROCESSOR "")
if(NOT EMSCRIPTEN)
  if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|amd64|AMD64|i[3-6]86|x86)$")
    set(LUTRA_PROCESSOR x86)
  elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "^(aarch64|arm)")
    set(LUTRA_PROCESSOR arm)
  endif()
endif()
set(LUTRA_32_BITS OFF)
if(CMAKE_SIZEOF_VOID_P EQUAL 4)
  set(LUTRA_32_BITS ON)
endif()

# Whether all of these processors read numbers from anywhere.
set(LUTRA_ALIGNS_ITSELF OFF)
if(LUTRA_PROCESSOR STREQUAL "x86"
   OR (LUTRA_PROCESSOR STREQUAL "arm" AND NOT LUTRA_32_BITS))
  set(LUTRA_ALIGNS_ITSELF ON)
endif()
