# libmfi.so: all rooms but the command line, for programs of other people.
#
# One shared library, and not a dozen static ones, so that who builds on mfi needs none of the -dev packages that
# building mfi needs. The program, the tests and the benchmarks link the static libraries of the rooms.

include(MfiPublicHeaders)

set(_rooms core formats picture_list data ops arch nn flow distributed train exchange deploy pipeline search report)
set(_objects "")
foreach(_room IN LISTS _rooms)
  list(APPEND _objects $<TARGET_OBJECTS:mfi_${_room}>)
endforeach()
add_library(mfi_shared SHARED ${_objects})
foreach(_room IN LISTS _rooms)
  target_link_libraries(mfi_shared PRIVATE mfi::${_room})
endforeach()
# Before 1.0 every minor version may change the interface, so it is part of the name.
set_target_properties(mfi_shared PROPERTIES
  OUTPUT_NAME mfi
  LINKER_LANGUAGE CXX
  VERSION ${PROJECT_VERSION}
  SOVERSION ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR}
  LIBRARY_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/lib"
  LINK_DEPENDS "${PROJECT_SOURCE_DIR}/cmake/libmfi.map")
target_link_options(mfi_shared PRIVATE "LINKER:--version-script=${PROJECT_SOURCE_DIR}/cmake/libmfi.map")

# A file for each public header that includes it and nothing else. Not part of the build: a test builds it.
set(_files "")
foreach(_header IN LISTS MFI_PUBLIC_HEADERS)
  string(REPLACE "/" "_" _file "${_header}")
  string(REPLACE ".h" ".cpp" _file "${PROJECT_BINARY_DIR}/public_headers/${_file}")
  file(CONFIGURE OUTPUT "${_file}" CONTENT "#include \"mfi/${_header}\"\n" @ONLY)
  # The precompiled header is LibTorch's alone, and only those get it that include it themselves.
  mfi_includes_torch("${PROJECT_SOURCE_DIR}/mfi/${_header}" _uses_torch)
  if(NOT _uses_torch)
    set_source_files_properties("${_file}" PROPERTIES SKIP_PRECOMPILE_HEADERS ON)
  endif()
  list(APPEND _files "${_file}")
endforeach()
add_library(public_headers OBJECT EXCLUDE_FROM_ALL ${_files})
target_include_directories(public_headers PRIVATE "${PROJECT_SOURCE_DIR}")
target_link_libraries(public_headers PRIVATE mfi_libtorch)
target_precompile_headers(public_headers REUSE_FROM mfi_torch_pch)
target_compile_options(public_headers PRIVATE $<$<CONFIG:Release>:-O1>)
add_test(NAME public_headers_test COMMAND ${CMAKE_COMMAND} --build "${PROJECT_BINARY_DIR}" --target public_headers)
set_tests_properties(public_headers_test PROPERTIES TIMEOUT 900 PROCESSORS 2)
