# lutra-static.pc names the static rooms that run models, for C and C++, and all
# that they use; lutra.pc what C programs link: liblutra.so, or the same rooms.

# Libraries, and folders of those that linkers do not look for themselves.
set(lutra_pc_used -lhwy)
foreach(package cpuinfo pthreadpool PCRE2 utf8proc)
  string(TOLOWER "lutra_${package}" made)
  if(TARGET ${made})
    list(APPEND lutra_pc_used -l${made})
  elseif(${package}_LIBRARY)
    cmake_path(GET ${package}_LIBRARY PARENT_PATH folder)
    file(REAL_PATH "${folder}" folder)
    if(NOT folder IN_LIST CMAKE_CXX_IMPLICIT_LINK_DIRECTORIES)
      list(APPEND lutra_pc_used "-L${folder}")
    endif()
    cmake_path(GET ${package}_LIBRARY STEM name)
    string(REGEX REPLACE "^lib" "-l" name "${name}")
    list(APPEND lutra_pc_used ${name})
  elseif(TARGET ${package}::${package})  # built along with lutra
    list(APPEND lutra_pc_used -l${package})
  endif()
endforeach()
list(TRANSFORM lutra_cxx_libraries PREPEND -l OUTPUT_VARIABLE cxx_libraries)
list(APPEND lutra_pc_used ${cxx_libraries} ${CMAKE_THREAD_LIBS_INIT})
list(JOIN lutra_pc_used " " lutra_pc_used)

# From the .pc files to the prefix, wherever it is moved to.
file(RELATIVE_PATH lutra_pc_prefix "/${CMAKE_INSTALL_LIBDIR}/pkgconfig" "/")
string(REGEX REPLACE "/$" "" lutra_pc_prefix "${lutra_pc_prefix}")

if(BUILD_SHARED_LIBS)
  set(lutra_pc_link "Libs: -L\${libdir} -llutra\nCflags: -I\${includedir}")
else()
  set(lutra_pc_link "Requires: lutra-static = ${PROJECT_VERSION}")
endif()
foreach(name lutra lutra-static)
  configure_file("${PROJECT_SOURCE_DIR}/cmake/${name}.pc.in"
                 "${PROJECT_BINARY_DIR}/${name}.pc" @ONLY)
  install(FILES "${PROJECT_BINARY_DIR}/${name}.pc"
          DESTINATION "${CMAKE_INSTALL_LIBDIR}/pkgconfig"
          COMPONENT development)
endforeach()
