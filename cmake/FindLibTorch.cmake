# Finds LibTorch and defines the target mfi_libtorch.
#
# LibTorch's own package file insists on CUDA whenever it was built with it; a CPU program needs only
# libtorch_cpu and libc10, and beside them (for the wheel from PyPI) libcudart and libcupti, which
# libtorch_cpu is linked against. Where the folder has the CUDA libraries too, they are linked, so that
# runtime.device = "cuda" finds a GPU; the fetched one has none.
#
# MFI_LIBTORCH  a folder with include/ and lib/: a LibTorch zip, or the torch folder of an installed
#               Python torch. Default: what scripts/fetch_libtorch.sh put into the user's cache.
#
# Sets MFI_LIBTORCH_VERSION, MFI_LIBTORCH_INCLUDE_DIR, and MFI_LIBTORCH_LIBRARY_DIRS: where the libraries
# that the program needs at run time lie.

set(MFI_LIBTORCH "" CACHE PATH "LibTorch 2.x: a folder with include/ and lib/ (empty: the fetched one)")

if(MFI_LIBTORCH)
  set(_root "${MFI_LIBTORCH}")
else()
  execute_process(
    COMMAND "${PROJECT_SOURCE_DIR}/scripts/fetch_libtorch.sh" --where
    OUTPUT_VARIABLE _root OUTPUT_STRIP_TRAILING_WHITESPACE)
endif()

if(NOT EXISTS "${_root}/lib/libtorch_cpu.so" OR NOT EXISTS "${_root}/include/ATen/ATen.h")
  message(FATAL_ERROR
    "LibTorch not found: no lib/libtorch_cpu.so and include/ATen/ATen.h in '${_root}'.\n"
    "Run scripts/fetch_libtorch.sh (make setup does), or pass -DMFI_LIBTORCH=DIR for one you have.")
endif()

# Newer releases keep the numbers in torch/headeronly.
set(MFI_LIBTORCH_VERSION "unknown")
foreach(_header torch/headeronly/version.h torch/csrc/api/include/torch/version.h)
  if(EXISTS "${_root}/include/${_header}")
    file(READ "${_root}/include/${_header}" _text)
    if(_text MATCHES "VERSION_MAJOR ([0-9]+).*VERSION_MINOR ([0-9]+).*VERSION_PATCH ([0-9]+)")
      set(MFI_LIBTORCH_VERSION "${CMAKE_MATCH_1}.${CMAKE_MATCH_2}.${CMAKE_MATCH_3}")
      break()
    endif()
  endif()
endforeach()
if(NOT MFI_LIBTORCH_VERSION MATCHES "^(2\\.|unknown)")
  message(FATAL_ERROR "LibTorch ${MFI_LIBTORCH_VERSION} in '${_root}', expected 2.x.")
endif()

# Python wheels before 2.7 were built with the C++ strings of before GCC 5; nothing else here was, and
# the link would end in pages of undefined references.
file(STRINGS "${_root}/lib/libc10.so" _new_strings REGEX "__cxx11" LIMIT_COUNT 1)
if(NOT _new_strings)
  message(FATAL_ERROR
    "LibTorch ${MFI_LIBTORCH_VERSION} in '${_root}' was built with _GLIBCXX_USE_CXX11_ABI=0, which nothing "
    "else on this system uses.\nTake a newer one (Python wheels from 2.7 on) or LibTorch's cxx11-ABI zip.")
endif()

set(MFI_LIBTORCH_INCLUDE_DIR "${_root}/include")
# The nvidia libraries lie in our fetched folder itself, or beside an installed Python torch.
file(GLOB _cuda_dirs "${_root}/../nvidia/*/lib")
set(MFI_LIBTORCH_LIBRARY_DIRS "${_root}/lib" ${_cuda_dirs})

add_library(mfi_libtorch INTERFACE)
target_include_directories(mfi_libtorch SYSTEM INTERFACE
  "${_root}/include" "${_root}/include/torch/csrc/api/include")
target_link_libraries(mfi_libtorch INTERFACE "${_root}/lib/libtorch_cpu.so" "${_root}/lib/libc10.so")
foreach(_library torch_cuda c10_cuda)
  if(EXISTS "${_root}/lib/lib${_library}.so")
    target_link_libraries(mfi_libtorch INTERFACE "${_root}/lib/lib${_library}.so")
  endif()
endforeach()
# LibTorch is built with NDEBUG, and inline functions in its headers differ with it; one program must
# not hold both kinds. TORCH_CHECK and TORCH_INTERNAL_ASSERT stay on.
target_compile_definitions(mfi_libtorch INTERFACE NDEBUG)
target_link_options(mfi_libtorch INTERFACE
  # libtorch_cpu registers its operators in static constructors; keep it although few symbols are named.
  "LINKER:--no-as-needed" "LINKER:--allow-shlib-undefined")
foreach(_dir IN LISTS MFI_LIBTORCH_LIBRARY_DIRS)
  target_link_options(mfi_libtorch INTERFACE "LINKER:-rpath-link,${_dir}")
endforeach()
message(STATUS "LibTorch ${MFI_LIBTORCH_VERSION} in ${_root}")
