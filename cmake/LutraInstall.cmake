# Installs headers, libraries, the lutra command (see tools/) and a package
# configuration, so that programs can say find_package(lutra) or ask pkg-config.
include(CMakePackageConfigHelpers)

set(lutra_package_dir "${CMAKE_INSTALL_LIBDIR}/cmake/lutra")

set(lutra_installed_targets)
set(lutra_components)
if(TARGET lutra_c)
  list(APPEND lutra_installed_targets lutra_c)
  list(APPEND lutra_components c)
endif()
foreach(folder kernels runtime qat packer tools/eval)
  cmake_path(GET folder FILENAME name)
  if(TARGET lutra_${name})
    list(APPEND lutra_installed_targets lutra_${name})
    list(APPEND lutra_components ${name})
    install(DIRECTORY "${PROJECT_SOURCE_DIR}/${folder}/include/"
            DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}"
            COMPONENT development)
  endif()
endforeach()
if(TARGET lutra)  # the command, for projects that embed models
  list(APPEND lutra_installed_targets lutra)
endif()
set(lutra_made)  # what was built of its sources goes along
foreach(name zlib pcre2 utf8proc)
  if(TARGET lutra_${name})
    list(APPEND lutra_made ${name})
    list(APPEND lutra_installed_targets lutra_${name})
  endif()
endforeach()
install(
  TARGETS ${lutra_installed_targets}
  EXPORT lutra_targets
  ARCHIVE DESTINATION "${CMAKE_INSTALL_LIBDIR}" COMPONENT development
  LIBRARY DESTINATION "${CMAKE_INSTALL_LIBDIR}"
          COMPONENT library
          NAMELINK_COMPONENT development
  RUNTIME DESTINATION "${CMAKE_INSTALL_BINDIR}" COMPONENT command)
install(
  EXPORT lutra_targets
  NAMESPACE lutra::
  FILE lutraTargets.cmake
  DESTINATION "${lutra_package_dir}"
  COMPONENT development)

# What the package configuration looks for.
foreach(target cpuinfo::cpuinfo pthreadpool::pthreadpool PCRE2::8BIT utf8proc::utf8proc ZLIB::ZLIB)
  string(REGEX REPLACE "::.*" "" name "${target}")
  string(TOLOWER "lutra_uses_${name}" name)
  set(${name} OFF)
  if(TARGET ${target})
    set(${name} ON)
  endif()
endforeach()
foreach(name IN LISTS lutra_made)
  set(lutra_uses_${name} OFF)
endforeach()

# The C++ library, for links by a C compiler.
set(lutra_cxx_libraries ${CMAKE_CXX_IMPLICIT_LINK_LIBRARIES})
list(REMOVE_ITEM lutra_cxx_libraries ${CMAKE_C_IMPLICIT_LINK_LIBRARIES})

configure_package_config_file(
  "${PROJECT_SOURCE_DIR}/cmake/lutraConfig.cmake.in"
  "${PROJECT_BINARY_DIR}/lutraConfig.cmake"
  INSTALL_DESTINATION "${lutra_package_dir}")
write_basic_package_version_file(
  "${PROJECT_BINARY_DIR}/lutraConfigVersion.cmake"
  COMPATIBILITY SameMinorVersion)
# The Find modules go along: the packages they find bring none of their own.
install(
  FILES "${PROJECT_BINARY_DIR}/lutraConfig.cmake"
        "${PROJECT_BINARY_DIR}/lutraConfigVersion.cmake"
        "${PROJECT_SOURCE_DIR}/cmake/FindPCRE2.cmake"
        "${PROJECT_SOURCE_DIR}/cmake/FindSentencePiece.cmake"
        "${PROJECT_SOURCE_DIR}/cmake/Findcpuinfo.cmake"
        "${PROJECT_SOURCE_DIR}/cmake/Findpthreadpool.cmake"
        "${PROJECT_SOURCE_DIR}/cmake/Findutf8proc.cmake"
  DESTINATION "${lutra_package_dir}"
  COMPONENT development)

if(TARGET lutra_runtime)
  include(LutraPkgConfig)
endif()
