# How this project declares its libraries and tests.

if(NOT MFI_FUZZ)
  find_package(GTest REQUIRED)
endif()

set(MFI_SANITIZE "" CACHE STRING "address: address and undefined-behaviour checks; thread: data races (presets asan, tsan)")
set_property(CACHE MFI_SANITIZE PROPERTY STRINGS "" address thread)
option(MFI_TIDY "Run clang-tidy on every file (preset tidy)" OFF)

set(MFI_TEST_ENVIRONMENT "")
set(MFI_TEST_TIMEOUT 900)
if(MFI_SANITIZE STREQUAL "address")
  # vptr looks up type records that LibTorch does not export.
  add_compile_options(-fsanitize=address,undefined -fno-sanitize=vptr -fno-sanitize-recover=undefined)
  add_link_options(-fsanitize=address,undefined)
  # LibTorch defines some inline variables in both of its libraries, and leaves its registries to the
  # end of the process. tests/faults preload a library before AddressSanitizer's. A test asks for more memory than there is.
  set(MFI_TEST_ENVIRONMENT
    "ASAN_OPTIONS=detect_odr_violation=0:detect_stack_use_after_return=1:verify_asan_link_order=0:allocator_may_return_null=1"
    "LSAN_OPTIONS=suppressions=${PROJECT_SOURCE_DIR}/cmake/lsan.supp:print_suppressions=0"
    "UBSAN_OPTIONS=print_stacktrace=1")
  set(MFI_TEST_TIMEOUT 3600)
elseif(MFI_SANITIZE STREQUAL "thread")
  add_compile_options(-fsanitize=thread)
  add_link_options(-fsanitize=thread)
  # Of LibTorch's own threads ThreadSanitizer sees what they call in libc, and not how they wait for each other. Some
  # tests start programs out of a process of several threads.
  set(MFI_TEST_ENVIRONMENT
    "TSAN_OPTIONS=ignore_noninstrumented_modules=1:die_after_fork=0:allocator_may_return_null=1:suppressions=${PROJECT_SOURCE_DIR}/cmake/tsan.supp")
  set(MFI_TEST_TIMEOUT 3600)
elseif(MFI_SANITIZE)
  message(FATAL_ERROR "MFI_SANITIZE is ${MFI_SANITIZE}, expected address or thread")
endif()
if(MFI_FUZZ)
  if(NOT CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
    message(FATAL_ERROR "MFI_FUZZ needs clang, for libFuzzer; this is ${CMAKE_CXX_COMPILER_ID}")
  endif()
  add_compile_options(-fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined)
  add_link_options(-fsanitize=address,undefined)
endif()
if(MFI_TIDY)
  find_program(CLANG_TIDY NAMES clang-tidy clang-tidy-14 REQUIRED)
  set(CMAKE_CXX_CLANG_TIDY "${CLANG_TIDY}" --quiet)
  set(CMAKE_DISABLE_PRECOMPILE_HEADERS ON)  # clang cannot read g++'s
endif()

find_program(CCACHE ccache)
if(CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER AND NOT MFI_TIDY)
  # sloppiness: precompiled headers carry time stamps; without this ccache would never hit.
  # base directory: a second checkout elsewhere profits from what the first one compiled.
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env
    CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime
    "CCACHE_BASEDIR=${PROJECT_SOURCE_DIR}" CCACHE_NOHASHDIR=1 ${CCACHE})
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    add_compile_options($<$<COMPILE_LANGUAGE:CXX>:-fpch-preprocess>)
  endif()
endif()
find_program(MOLD mold)
if(MOLD)
  add_link_options(-fuse-ld=mold)
endif()
add_compile_options(-Wall -Wextra -Wno-unused-parameter)
# Everything fits into libmfi.so as well: no file is compiled twice, and all share one precompiled header. Without
# interposition a call within the library stays a plain call that can be inlined, so this costs no speed.
add_compile_options(-fPIC -fno-semantic-interposition)

# LibTorch's headers cost 20 s a file; they are compiled once, here, for every target that uses them.
if(NOT MFI_FUZZ)
  add_library(mfi_torch_pch OBJECT "${PROJECT_SOURCE_DIR}/cmake/pch.cpp")
  target_link_libraries(mfi_torch_pch PRIVATE mfi_libtorch)
  target_precompile_headers(mfi_torch_pch PRIVATE "${PROJECT_SOURCE_DIR}/mfi/core/torch.h")
  target_include_directories(mfi_torch_pch PRIVATE "${PROJECT_SOURCE_DIR}")
endif()

# Sets `result` to whether a file includes LibTorch, itself or through headers of ours.
function(mfi_includes_torch file result)
  get_property(answer GLOBAL PROPERTY "mfi_includes_torch_${file}")
  if("${answer}" STREQUAL "")  # not asked before
    set(answer OFF)
    file(STRINGS "${file}" includes REGEX "^#include ")
    if(includes MATCHES "<(torch|ATen|c10)/")
      set(answer ON)
    endif()
    foreach(line IN LISTS includes)
      if(NOT answer AND line MATCHES "\"(mfi/[^\"]+)\"" AND EXISTS "${PROJECT_SOURCE_DIR}/${CMAKE_MATCH_1}")
        mfi_includes_torch("${PROJECT_SOURCE_DIR}/${CMAKE_MATCH_1}" answer)
      endif()
    endforeach()
    set_property(GLOBAL PROPERTY "mfi_includes_torch_${file}" "${answer}")
  endif()
  set(${result} ${answer} PARENT_SCOPE)
endfunction()

# Gives a target the precompiled header, but for those of its files that do without LibTorch: merely
# loading it costs 4 s.
function(mfi_precompile target)
  target_precompile_headers(${target} REUSE_FROM mfi_torch_pch)
  get_target_property(sources ${target} SOURCES)
  foreach(source IN LISTS sources)
    if(EXISTS "${CMAKE_CURRENT_SOURCE_DIR}/${source}")
      mfi_includes_torch("${CMAKE_CURRENT_SOURCE_DIR}/${source}" uses_torch)
      if(NOT uses_torch)
        set_source_files_properties(${source} PROPERTIES SKIP_PRECOMPILE_HEADERS ON)
      endif()
    endif()
  endforeach()
endfunction()

# For what is compiled more often than it computes, tests and commands: an eighth off their compile time.
# -O0 would cost the precompiled header.
function(mfi_compile_quickly target)
  target_compile_options(${target} PRIVATE $<$<CONFIG:Release>:-O1>)
endfunction()

# mfi_add_library(NAME [TORCH] SOURCES ... [LINKS ...])
# A library mfi_NAME with alias mfi::NAME. TORCH: it uses LibTorch.
function(mfi_add_library name)
  cmake_parse_arguments(ARG "TORCH" "" "SOURCES;LINKS" ${ARGN})
  add_library(mfi_${name} STATIC ${ARG_SOURCES})
  add_library(mfi::${name} ALIAS mfi_${name})
  target_include_directories(mfi_${name} PUBLIC "${PROJECT_SOURCE_DIR}")
  target_link_libraries(mfi_${name} PUBLIC ${ARG_LINKS})
  if(ARG_TORCH)
    target_link_libraries(mfi_${name} PUBLIC mfi_libtorch)
    mfi_precompile(mfi_${name})
  endif()
endfunction()

# mfi_add_test(NAME [TORCH] [LINKS ...])
# A GoogleTest program from NAME.cpp in this folder.
function(mfi_add_test name)
  cmake_parse_arguments(ARG "TORCH" "" "LINKS" ${ARGN})
  add_executable(${name} ${name}.cpp)
  target_link_libraries(${name} PRIVATE ${ARG_LINKS} GTest::gmock GTest::gtest_main)
  mfi_compile_quickly(${name})
  if(ARG_TORCH)
    mfi_precompile(${name})
  endif()
  add_test(NAME ${name} COMMAND ${name})
  # Tests run side by side: two threads each still exercise threading, and waiting ones must sleep,
  # not spin on a core that another test needs.
  set_tests_properties(${name} PROPERTIES
    TIMEOUT ${MFI_TEST_TIMEOUT} ENVIRONMENT "OMP_NUM_THREADS=2;OMP_WAIT_POLICY=passive;${MFI_TEST_ENVIRONMENT}")
endfunction()
