# Debian packages, made by scripts/package.sh: the command, the shared library,
# and what programs are built with.
set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME lutra)
set(CPACK_PACKAGE_CONTACT "The lutra developers")
set(CPACK_RESOURCE_FILE_LICENSE "${PROJECT_SOURCE_DIR}/LICENSE")
set(CPACK_STRIP_FILES ON)
set(CPACK_COMPONENTS_ALL command development)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_RELEASE 1)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)

set(CPACK_COMPONENT_COMMAND_DESCRIPTION
    "Runs, trains and packs networks with LUT-quantized weights
 The lutra command: language models and other networks of 1 to 4 bits per weight.")
set(CPACK_DEBIAN_COMMAND_PACKAGE_NAME lutra)
set(CPACK_DEBIAN_COMMAND_PACKAGE_SECTION science)

# What lutraConfig.cmake looks for.
set(lutra_used_packages libhwy-dev libcpuinfo-dev)
foreach(used pthreadpool:libpthreadpool-dev pcre2:libpcre2-dev utf8proc:libutf8proc-dev
             zlib:zlib1g-dev)
  string(REGEX MATCH "([^:]*):(.*)" matched "${used}")
  if(lutra_uses_${CMAKE_MATCH_1})
    list(APPEND lutra_used_packages ${CMAKE_MATCH_2})
  endif()
endforeach()
if(SentencePiece_FOUND)
  list(APPEND lutra_used_packages libsentencepiece-dev)
endif()
if(BUILD_SHARED_LIBS)
  get_target_property(lutra_abi lutra_c SOVERSION)
  list(APPEND CPACK_COMPONENTS_ALL library)
  set(CPACK_COMPONENT_LIBRARY_DESCRIPTION
      "Runtime for networks with LUT-quantized weights
 The shared library with the C API.")
  set(CPACK_DEBIAN_LIBRARY_PACKAGE_NAME liblutra${lutra_abi})
  set(CPACK_DEBIAN_LIBRARY_PACKAGE_SECTION libs)
  list(APPEND lutra_used_packages
       "liblutra${lutra_abi} (= ${PROJECT_VERSION}-${CPACK_DEBIAN_PACKAGE_RELEASE})")
endif()
set(CPACK_COMPONENT_DEVELOPMENT_DESCRIPTION
    "Headers and libraries of lutra
 For programs that run, pack or train networks with LUT-quantized weights.")
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_NAME liblutra-dev)
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_SECTION libdevel)
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_SHLIBDEPS OFF)
list(JOIN lutra_used_packages ", " CPACK_DEBIAN_DEVELOPMENT_PACKAGE_DEPENDS)
include(CPack)
