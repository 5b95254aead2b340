// Eight floats at a time, for whatever processor the compiler targets. Knows nothing of models.
//
// Vector extensions of GCC and Clang carry all of it; intrinsics stand only where an operation must be one instruction:
// a fused multiply-add rounds once, so whether it is fused must never be the compiler's choice (-ffp-contract=off).
// MEMBERWISE_PORTABLE leaves the intrinsics out, MEMBERWISE_NO_TILES those of Intel AMX; tests build it that way too.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>

#if !defined(MEMBERWISE_PORTABLE) && defined(__AVX2__) && defined(__FMA__)
#define MEMBERWISE_AVX2 1
#include <immintrin.h>
#endif
#if !defined(MEMBERWISE_PORTABLE) && defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512VNNI__)
#define MEMBERWISE_VNNI 1
#endif
#if defined(MEMBERWISE_AVX2) && !defined(MEMBERWISE_VNNI) && defined(__AVXVNNI__)
#define MEMBERWISE_AVX_VNNI 1
#endif
#if defined(MEMBERWISE_VNNI) && defined(__AVX512BF16__) && defined(__AMX_TILE__) && defined(__AMX_INT8__) && defined(__AMX_BF16__) && defined(__linux__) && !defined(MEMBERWISE_NO_TILES)
#define MEMBERWISE_AMX 1
#endif
#if defined(MEMBERWISE_VNNI) && defined(__AVX512BF16__) && defined(__AVX512VL__) && !defined(__AMX_BF16__)
#define MEMBERWISE_PAIRS 1  // processors that have tiles are no quicker by it
#endif
#if defined(MEMBERWISE_AVX2) && !defined(MEMBERWISE_PAIRS) && !defined(MEMBERWISE_AMX)
#define MEMBERWISE_FIXED 1  // others add two products of 16 bits at once where they are integers
#endif
#if !defined(MEMBERWISE_PORTABLE) && defined(__aarch64__) && defined(__ARM_NEON)
#define MEMBERWISE_NEON 1
#include <arm_neon.h>
#endif

typedef float f32x8 __attribute__((vector_size(32)));
typedef int32_t i32x8 __attribute__((vector_size(32)));
typedef float f32x16 __attribute__((vector_size(64)));
typedef int32_t i32x16 __attribute__((vector_size(64)));
typedef uint32_t u32x8 __attribute__((vector_size(32)));
typedef uint32_t u32x16 __attribute__((vector_size(64)));
typedef int16_t i16x8 __attribute__((vector_size(16)));

template <class V, class T>
static inline V load(const T* from) {
    V value;
    std::memcpy(&value, from, sizeof value);
    return value;
}

template <class V, class T>
static inline void store(T* to, V value) {
    std::memcpy(to, &value, sizeof value);
}

[[gnu::always_inline]] static inline f32x8 splat(float v) { return f32x8{v, v, v, v, v, v, v, v}; }

[[gnu::always_inline]] static inline f32x8 fma(f32x8 a, f32x8 b, f32x8 c) {
#if defined(MEMBERWISE_AVX2)
    return (f32x8)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
#elif defined(MEMBERWISE_NEON)
    float32x4_t al, ah, bl, bh, cl, ch;
    std::memcpy(&al, &a, 16), std::memcpy(&ah, (char*)&a + 16, 16);
    std::memcpy(&bl, &b, 16), std::memcpy(&bh, (char*)&b + 16, 16);
    std::memcpy(&cl, &c, 16), std::memcpy(&ch, (char*)&c + 16, 16);
    cl = vfmaq_f32(cl, al, bl), ch = vfmaq_f32(ch, ah, bh);
    std::memcpy(&c, &cl, 16), std::memcpy((char*)&c + 16, &ch, 16);
    return c;
#else
    return a * b + c;
#endif
}

// The same onto a sum that stays in its register: GCC 12 moves sums about, and keeps one of many in memory, for which the others wait.
[[gnu::always_inline]] static inline f32x8 accumulated(f32x8 a, f32x8 b, f32x8 sum) {
#if defined(MEMBERWISE_AVX2)
    asm("vfmadd231ps %2, %1, %0" : "+x"(sum) : "x"(a), "x"(b));
    return sum;
#else
    return fma(a, b, sum);
#endif
}

template <class Body, int... Index>
[[gnu::always_inline]] static inline void repeat(std::integer_sequence<int, Index...>, const Body& body) {
    (body(std::integral_constant<int, Index>{}), ...);
}

// body(0), ..., body(N - 1) without a loop. GCC keeps an array in registers only where every index is a constant; sums
// that it keeps in memory make a product three times as slow. The body has to be INLINE.
#define INLINE __attribute__((always_inline))
template <int N, class Body>
[[gnu::always_inline]] static inline void times(const Body& body) {
    repeat(std::make_integer_sequence<int, N>{}, body);
}

// The widest vector that is one register here.
#if defined(MEMBERWISE_VNNI)
typedef f32x16 wide;
typedef i32x16 wide_int;
[[gnu::always_inline]] static inline wide fma(wide a, wide b, wide c) { return (wide)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c); }
[[gnu::always_inline]] static inline wide accumulated(wide a, wide b, wide sum) { return fma(a, b, sum); }
static inline wide larger(wide a, wide b) { return (wide)_mm512_max_ps((__m512)a, (__m512)b); }
static inline wide smaller(wide a, wide b) { return (wide)_mm512_min_ps((__m512)a, (__m512)b); }
#else
typedef f32x8 wide;
typedef i32x8 wide_int;
#endif
constexpr int WIDE = sizeof(wide) / sizeof(float);

template <class V>
[[gnu::always_inline]] static inline V all(float v) {
    return v - V{};
}

// The 32 bits at `from` in every place.
template <class V>
[[gnu::always_inline]] static inline V spread(const float* from) {
    typedef typename std::conditional<sizeof(V) == 64, i32x16, i32x8>::type Ints;
    return (V)(load<int32_t>(from) - Ints{});
}

static inline f32x8 larger(f32x8 a, f32x8 b) {
#if defined(MEMBERWISE_AVX2)
    return (f32x8)_mm256_max_ps((__m256)a, (__m256)b);
#else
    return a > b ? a : b;
#endif
}

static inline f32x8 smaller(f32x8 a, f32x8 b) {
#if defined(MEMBERWISE_AVX2)
    return (f32x8)_mm256_min_ps((__m256)a, (__m256)b);
#else
    return a < b ? a : b;
#endif
}

static inline f32x8 absolute(f32x8 a) { return (f32x8)((u32x8)a & 0x7fffffffu); }

// One order of addition for all callers, so that a sum depends on its terms only.
static inline float sum(f32x8 a) { return ((a[0] + a[4]) + (a[2] + a[6])) + ((a[1] + a[5]) + (a[3] + a[7])); }

static inline float largest(f32x8 a) {
#if defined(MEMBERWISE_AVX2)
    __m128 best = _mm_max_ps(_mm256_castps256_ps128((__m256)a), _mm256_extractf128_ps((__m256)a, 1));
    best = _mm_max_ps(best, _mm_movehl_ps(best, best));
    return _mm_cvtss_f32(_mm_max_ss(best, _mm_movehdup_ps(best)));
#else
    float best = a[0];
    for (int lane = 1; lane < 8; lane++) best = a[lane] > best ? a[lane] : best;
    return best;
#endif
}

#if defined(MEMBERWISE_VNNI)
static inline float sum(wide a) { return sum(load<f32x8>((const float*)&a) + load<f32x8>((const float*)&a + 8)); }
static inline float largest(wide a) { return largest(larger(load<f32x8>((const float*)&a), load<f32x8>((const float*)&a + 8))); }
#endif

// To the nearest integer, ties to even, for |a| < 2^22: the addition of 1.5 * 2^23 leaves no room for a fraction.
template <class V>
static inline V nearest(V a) {
    const V magic = all<V>(12582912.0f);
    return (a + magic) - magic;
}

// sum * 2^power, for whole powers; 0 where x <= -87.
template <class V>
static inline V scaled(V sum, V power, V x) {
    typedef typename std::conditional<sizeof(V) == 64, i32x16, i32x8>::type Ints;
    const V value = sum * (V)((__builtin_convertvector(power, Ints) + 127) << 23);
    return (V)((Ints)value & (x > -87.0f));
}

#if defined(MEMBERWISE_VNNI)
static inline wide nearest(wide a) { return (wide)_mm512_roundscale_ps((__m512)a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
static inline wide scaled(wide sum, wide power, wide x) {
    return (wide)_mm512_maskz_scalef_ps(_mm512_cmp_ps_mask((__m512)x, _mm512_set1_ps(-87.0f), _CMP_GT_OQ), (__m512)sum, (__m512)power);
}
#endif

// e^x for x <= 88; 0 below -87 (-infinity too). To within 2 units in the last place by the seventh power, 2^-14 of it by the fourth.
// Cody-Waite reduction to [-ln2/2, ln2/2] and a Taylor polynomial.
template <int POWERS = 7, class V>
static inline V exponential(V x) {
    constexpr float factors[] = {1.0f, 1.0f, 0.5f, 1.0f / 6, 1.0f / 24, 1.0f / 120, 1.0f / 720, 1.0f / 5040};
    const V clamped = larger(smaller(x, all<V>(88.0f)), all<V>(-87.0f));
    const V power = nearest(clamped * 1.44269504f);
    V rest = fma(power, all<V>(-0.693359375f), clamped);
    rest = fma(power, all<V>(2.12194440e-4f), rest);
    V sum = all<V>(factors[POWERS]);
    times<POWERS>([&](auto n) INLINE { sum = fma(sum, rest, all<V>(factors[POWERS - 1 - n])); });
    return scaled(sum, power, x);
}

// 2^x for x <= 0, to within 3e-6 of it, and at least 2^-126. A minimax polynomial over [-1/2, 1/2].
template <class V>
static inline V power_of_two(V x) {
    typedef typename std::conditional<sizeof(V) == 64, i32x16, i32x8>::type Ints;
    constexpr float factors[] = {0.999999261f, 0.693121815f, 0.240247448f, 0.0559178608f, 0.00957010197f};
    const V clamped = larger(x, all<V>(-126.0f)), power = nearest(clamped), rest = clamped - power;
    V sum = all<V>(factors[4]);
    times<4>([&](auto n) INLINE { sum = fma(sum, rest, all<V>(factors[3 - n])); });
    return (V)((Ints)sum + (__builtin_convertvector(power, Ints) << 23));
}

// A bfloat16 is the upper half of a float; stored rounded to nearest even.
typedef struct {
    uint16_t bits;
} bfloat16;

// An integer that is to be multiplied by a scale which it shares with others.
typedef struct {
    int16_t bits;
} fixed16;

static inline void store_rounded(float* to, wide from) { store(to, from); }

#if defined(MEMBERWISE_VNNI) && defined(__AVX512BF16__)
// Sixteen floats, rounded. Assembly because Clang 16 does not come to an end with vectors of bfloat16.
static inline void store_rounded(bfloat16* to, wide from) {
    __m256i rounded;
    asm("vcvtneps2bf16 %1, %0" : "=v"(rounded) : "v"(from));
    store(to, rounded);
}
#endif

#if defined(MEMBERWISE_PAIRS)
// Onto each sum, the product of the first bfloat16 of a pair and that of the second ones.
template <class V>
[[gnu::always_inline]] static inline V add_pairs(V sum, V left, V right) {
    asm("vdpbf16ps %2, %1, %0" : "+v"(sum) : "v"(left), "v"(right));
    return sum;
}
#endif

static inline f32x8 load8(const float* from) { return load<f32x8>(from); }

// The largest of `count` numbers without their signs; a multiple of 8.
static inline float peak_of(const float* from, int count) {
    f32x8 high = splat(0.0f);
    for (int k = 0; k < count; k += 8) high = larger(high, absolute(load8(from + k)));
    return largest(high);
}

static inline void put(float* to, float value) { *to = value; }

static inline void put(bfloat16* to, float value) {
    uint32_t bits;
    std::memcpy(&bits, &value, 4);
    to->bits = (uint16_t)((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

static inline void put(fixed16* to, float value) { to->bits = (int16_t)std::nearbyint(value); }
