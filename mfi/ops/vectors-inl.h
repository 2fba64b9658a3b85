// float32 vectors and how activations are read into them and written from them, for each kind of machine.
// To be included by files that highway compiles several times over (foreach_target.h).
#include <hwy/highway.h>

#include <bit>
#include <cstdint>

#if defined(MFI_OPS_VECTORS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef MFI_OPS_VECTORS_INL_H_
#undef MFI_OPS_VECTORS_INL_H_
#else
#define MFI_OPS_VECTORS_INL_H_
#endif

HWY_BEFORE_NAMESPACE();
namespace mfi {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

using Floats = hn::CappedTag<float, 16>;  // a row's 64 columns are whole blocks of four of these
using Vector = hn::Vec<Floats>;
constexpr Floats kFloats;
constexpr int64_t kLanes = hn::MaxLanes(kFloats);

HWY_INLINE Vector load(const float* p) { return hn::LoadU(kFloats, p); }

HWY_INLINE Vector load(const uint16_t* p) {
  const hn::Rebind<uint32_t, Floats> wide;
  const hn::Rebind<uint16_t, Floats> narrow;
  return hn::BitCast(kFloats, hn::ShiftLeft<16>(hn::PromoteTo(wide, hn::LoadU(narrow, p))));
}

HWY_INLINE void store(Vector v, float* p) { hn::StoreU(v, kFloats, p); }

// To the nearest, ties to even. A NaN stays one: those that arithmetic makes, or that come from a bfloat16, have
// only zeros below what is kept, so nothing is carried.
HWY_INLINE void store(Vector v, uint16_t* p) {
  const hn::Rebind<uint32_t, Floats> wide;
  const hn::Rebind<uint16_t, Floats> narrow;
  const auto bits = hn::BitCast(wide, v);
  const auto odd = hn::And(hn::ShiftRight<16>(bits), hn::Set(wide, 1));
  const auto rounded = hn::Add(bits, hn::Add(odd, hn::Set(wide, 0x7FFF)));
  hn::StoreU(hn::TruncateTo(narrow, hn::ShiftRight<16>(rounded)), narrow, p);
}

// The last row's columns, one at a time.
HWY_INLINE float load_one(const float* p) { return *p; }
HWY_INLINE float load_one(const uint16_t* p) { return std::bit_cast<float>(static_cast<uint32_t>(*p) << 16); }
HWY_INLINE void store_one(float v, float* p) { *p = v; }
HWY_INLINE void store_one(float v, uint16_t* p) {
  const auto bits = std::bit_cast<uint32_t>(v);
  *p = static_cast<uint16_t>((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16);
}

}  // namespace HWY_NAMESPACE
}  // namespace mfi
HWY_AFTER_NAMESPACE();

#endif  // once for each target
