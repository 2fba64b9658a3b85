#include "fuzz/heap_watch.h"

#include <malloc.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdint>

// Sanitizers whose allocator calls back.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define MFI_SANITIZER_HEAP 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define MFI_SANITIZER_HEAP 1
#endif
#endif

namespace {

// Signed: what was there before the first count may be given back.
std::atomic<int64_t> now{0}, most{0};

void took(size_t bytes) {
  const int64_t total = now.fetch_add(static_cast<int64_t>(bytes)) + static_cast<int64_t>(bytes);
  int64_t before = most.load();
  while (before < total && !most.compare_exchange_weak(before, total)) {
  }
}
void gave(size_t bytes) { now.fetch_sub(static_cast<int64_t>(bytes)); }

}  // namespace

#ifdef MFI_SANITIZER_HEAP

// g++ has them in its library, but not clang's sanitizer/allocator_interface.h.
extern "C" {
int __sanitizer_install_malloc_and_free_hooks(void (*)(const volatile void*, size_t), void (*)(const volatile void*));
size_t __sanitizer_get_allocated_size(const volatile void*);
}

namespace {
void on_malloc(const volatile void*, size_t bytes) { took(bytes); }
void on_free(const volatile void* address) {
  if (address) gave(__sanitizer_get_allocated_size(address));
}
[[maybe_unused]] const int installed = __sanitizer_install_malloc_and_free_hooks(on_malloc, on_free);
}  // namespace

#else

// In place of glibc's, for this program and every library that it loads; glibc names its own a second time for that.
extern "C" {
void* __libc_malloc(size_t);
void* __libc_calloc(size_t, size_t);
void* __libc_realloc(void*, size_t);
void* __libc_memalign(size_t, size_t);
void __libc_free(void*);

static void* counted(void* address) {
  if (address) took(malloc_usable_size(address));
  return address;
}

void* malloc(size_t bytes) { return counted(__libc_malloc(bytes)); }
void* calloc(size_t count, size_t bytes) { return counted(__libc_calloc(count, bytes)); }
void* memalign(size_t alignment, size_t bytes) { return counted(__libc_memalign(alignment, bytes)); }
void* aligned_alloc(size_t alignment, size_t bytes) { return memalign(alignment, bytes); }
int posix_memalign(void** into, size_t alignment, size_t bytes) {
  *into = memalign(alignment, bytes);
  return *into ? 0 : ENOMEM;
}
void free(void* address) {
  if (address) gave(malloc_usable_size(address));
  __libc_free(address);
}
void* realloc(void* address, size_t bytes) {
  // As if both were there for a moment, which they are when it moves by copying.
  const size_t before = address ? malloc_usable_size(address) : 0;
  void* moved = __libc_realloc(address, bytes);
  if (counted(moved) || bytes == 0) gave(before);
  return moved;
}
}

#endif

namespace mfi::fuzz {

namespace {
int64_t at_the_beginning = 0;
}

HeapWatch::HeapWatch() {
  at_the_beginning = now.load();
  most.store(at_the_beginning);
}

size_t HeapWatch::peak() const { return static_cast<size_t>(most.load() - at_the_beginning); }

}  // namespace mfi::fuzz
