# What `cmake --install` puts where:
#
#   bin/mfi            the program
#   lib/mfi/           the LibTorch libraries that it needs, so that it runs without the cache folder
#   share/mfi/sample   share/mfi/recipes
#
# The tree may be moved as a whole: the program looks for its libraries relative to itself.

set_target_properties(mfi PROPERTIES
  RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/bin"
  INSTALL_RPATH "$ORIGIN/../lib/mfi")
install(TARGETS mfi RUNTIME_DEPENDENCY_SET mfi_runtime RUNTIME DESTINATION bin)

# Of everything that the program loads, only what lies in LibTorch's folders; the rest is the system's.
set(_ours "")
foreach(_dir IN LISTS MFI_LIBTORCH_LIBRARY_DIRS)
  file(REAL_PATH "${_dir}" _dir)
  string(REGEX REPLACE "([][+.*()^$?|\\\\])" "\\\\\\1" _dir "${_dir}")
  list(APPEND _ours "^${_dir}/")
endforeach()
install(RUNTIME_DEPENDENCY_SET mfi_runtime
  POST_INCLUDE_REGEXES ${_ours}
  POST_EXCLUDE_REGEXES ".*"
  DIRECTORIES ${MFI_LIBTORCH_LIBRARY_DIRS}
  LIBRARY DESTINATION lib/mfi)

install(DIRECTORY "${PROJECT_SOURCE_DIR}/sample" "${PROJECT_SOURCE_DIR}/recipes" DESTINATION share/mfi)
