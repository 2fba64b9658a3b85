#include "mfi/ops/sample_passes.h"

#include <algorithm>
#include <type_traits>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "mfi/ops/sample_passes.cpp"
#include <hwy/foreach_target.h>
#include "mfi/ops/vectors-inl.h"

#ifndef MFI_OPS_SAMPLE_TABLE  // this file includes itself
#define MFI_OPS_SAMPLE_TABLE
namespace mfi {

// The passes as compiled for one kind of machine.
template <class T>
struct SampleTable {
  decltype(&interpolate<T>) interpolate;
  decltype(&velocity_difference<T>) velocity_difference;
  decltype(&scale<T>) scale;
};

}  // namespace mfi
#endif

HWY_BEFORE_NAMESPACE();
namespace mfi {
namespace HWY_NAMESPACE {

template <class T>
void interpolate_sample(const T* z0, const T* z1, float t, int64_t count, T* out) {
  const auto ts = hn::Set(kFloats, t);
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    const auto from = load(z0 + i);
    store(hn::MulAdd(ts, hn::Sub(load(z1 + i), from), from), out + i);
  }
  for (; i < count; ++i) store_one(load_one(z0 + i) + t * (load_one(z1 + i) - load_one(z0 + i)), out + i);
}

template <class T, bool kDerivative>
double difference_of(const T* u, const T* z0, const T* z1, const T* derivative, float step, int64_t count,
                     T* difference) {
  constexpr int64_t kPiece = 4096;  // values whose squares are summed up in float32
  const auto steps = hn::Set(kFloats, step);
  double total = 0;
  int64_t i = 0;
  while (i + kLanes <= count) {
    auto sum = hn::Zero(kFloats);
    for (const int64_t end = std::min(count, i + kPiece); i + kLanes <= end; i += kLanes) {
      auto e = hn::Sub(load(u + i), hn::Sub(load(z1 + i), load(z0 + i)));
      if constexpr (kDerivative) e = hn::MulAdd(steps, load(derivative + i), e);
      store(e, difference + i);
      sum = hn::MulAdd(e, e, sum);
    }
    total += hn::GetLane(hn::SumOfLanes(kFloats, sum));
  }
  for (; i < count; ++i) {
    float e = load_one(u + i) - (load_one(z1 + i) - load_one(z0 + i));
    if constexpr (kDerivative) e += step * load_one(derivative + i);
    store_one(e, difference + i);
    total += static_cast<double>(e) * e;
  }
  return total;
}

template <class T>
double difference_any(const T* u, const T* z0, const T* z1, const T* derivative, float step, int64_t count,
                      T* difference) {
  return (derivative ? difference_of<T, true> : difference_of<T, false>)(u, z0, z1, derivative, step, count,
                                                                         difference);
}

template <class T, bool kNegative>
void scale_of(const T* x, float factor, int64_t count, T* out, T* negative) {
  const auto factors = hn::Set(kFloats, factor);
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    const auto v = hn::Mul(factors, load(x + i));
    store(v, out + i);
    if constexpr (kNegative) store(hn::Neg(v), negative + i);
  }
  for (; i < count; ++i) {
    const float v = factor * load_one(x + i);
    store_one(v, out + i);
    if constexpr (kNegative) store_one(-v, negative + i);
  }
}

template <class T>
void scale_any(const T* x, float factor, int64_t count, T* out, T* negative) {
  (negative ? scale_of<T, true> : scale_of<T, false>)(x, factor, count, out, negative);
}

template <class T>
SampleTable<T> sample_table() {
  return {interpolate_sample<T>, difference_any<T>, scale_any<T>};
}

// HWY_EXPORT takes no templates.
SampleTable<float> float_samples() { return sample_table<float>(); }
SampleTable<Bf16Bits> bf16_samples() { return sample_table<Bf16Bits>(); }

}  // namespace HWY_NAMESPACE
}  // namespace mfi
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace mfi {
namespace {

HWY_EXPORT(float_samples);
HWY_EXPORT(bf16_samples);

// Of the machine that this runs on.
template <class T>
SampleTable<T> samples() {
  if constexpr (std::is_same_v<T, float>)
    return HWY_DYNAMIC_DISPATCH(float_samples)();
  else
    return HWY_DYNAMIC_DISPATCH(bf16_samples)();
}

}  // namespace

template <class T>
void interpolate(const T* z0, const T* z1, float t, int64_t count, T* out) {
  samples<T>().interpolate(z0, z1, t, count, out);
}

template <class T>
double velocity_difference(const T* u, const T* z0, const T* z1, const T* derivative, float step, int64_t count,
                           T* difference) {
  return samples<T>().velocity_difference(u, z0, z1, derivative, step, count, difference);
}

template <class T>
void scale(const T* x, float factor, int64_t count, T* out, T* negative) {
  samples<T>().scale(x, factor, count, out, negative);
}

template void interpolate<float>(const float*, const float*, float, int64_t, float*);
template void interpolate<Bf16Bits>(const Bf16Bits*, const Bf16Bits*, float, int64_t, Bf16Bits*);
template double velocity_difference<float>(const float*, const float*, const float*, const float*, float, int64_t,
                                           float*);
template double velocity_difference<Bf16Bits>(const Bf16Bits*, const Bf16Bits*, const Bf16Bits*, const Bf16Bits*, float,
                                              int64_t, Bf16Bits*);
template void scale<float>(const float*, float, int64_t, float*, float*);
template void scale<Bf16Bits>(const Bf16Bits*, float, int64_t, Bf16Bits*, Bf16Bits*);

}  // namespace mfi
#endif  // HWY_ONCE
