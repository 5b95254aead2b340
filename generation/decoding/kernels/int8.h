// How int8 matrices are multiplied: what a row becomes, and sixteen sums of a few rows at a time.
//
// With VNNI, of AVX512 or of AVX, rows are int8 with a scale for every 32 columns: one scale a row costs 3 % of
// perplexity, these less than one. The head, which is the most sensitive, takes each row in two parts: the second holds
// what rounding left of the first. Without it they are int16 with one scale, which costs no speed (maddubs needs a second
// step to widen). With tiles (Intel AMX) they have 15 bits in two parts, see Int8Tiles.
#pragma once

#include "matrix.h"
#include "tiles.h"

#include <algorithm>

// `count` floats as integers in [-limit, limit]; returns the scale that takes them back.
template <class Integer>
static inline float quantise(const float* from, Integer* to, int count, float limit) {
    typedef Integer Eight __attribute__((vector_size(8 * sizeof(Integer))));
    const float peak = peak_of(from, count);
    if (!(peak > 0.0f)) {
        std::memset(to, 0, sizeof(Integer) * count);
        return 0.0f;
    }
    const f32x8 factor = splat(limit / peak);
    for (int k = 0; k < count; k += 8)
        store(to + k, __builtin_convertvector(__builtin_convertvector(nearest(load8(from + k) * factor), i32x8), Eight));
    return peak / limit;
}

#if defined(MEMBERWISE_VNNI) || defined(MEMBERWISE_AVX_VNNI)

// Sixteen integers or floats, for 16 channels. Four columns of them are multiplied by assembly because GCC 12 copies every
// sum before it adds to it.
#if defined(MEMBERWISE_VNNI)
typedef __m512i Integers;
typedef __m512 Floats;
// Few rows take blocks one by one: memory is read in its order, which the processor foresees. Many wait for loads instead.
static constexpr int rows_that_fit(bool many) { return many ? 6 : 8; }
static constexpr int blocks_that_fit(bool many) { return many ? 2 : 1; }

[[gnu::always_inline]] static inline Integers integers(int32_t value) { return _mm512_set1_epi32(value); }
[[gnu::always_inline]] static inline Integers four_columns(const uint8_t* weights) { return _mm512_loadu_si512(weights); }
[[gnu::always_inline]] static inline Integers add_products(Integers sum, Integers weights, Integers row) {
    asm("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(weights), "v"(row));
    return sum;
}
[[gnu::always_inline]] static inline Floats add_scaled(Floats total, Integers sums, float scale) {
    return _mm512_fmadd_ps(_mm512_cvtepi32_ps(sums), _mm512_set1_ps(scale), total);
}
#else
typedef struct {
    __m256i half[2];
} Integers;
typedef struct {
    __m256 half[2];
} Floats;
static constexpr int rows_that_fit(bool) { return 5; }  // into sixteen registers of half the size
static constexpr int blocks_that_fit(bool) { return 1; }

[[gnu::always_inline]] static inline Integers integers(int32_t value) { return {{_mm256_set1_epi32(value), _mm256_set1_epi32(value)}}; }
[[gnu::always_inline]] static inline Integers four_columns(const uint8_t* weights) { return {{load<__m256i>(weights), load<__m256i>(weights + 32)}}; }
[[gnu::always_inline]] static inline Integers add_products(Integers sum, Integers weights, Integers row) {
    asm("%{vex%} vpdpbusd %2, %1, %0" : "+x"(sum.half[0]) : "x"(weights.half[0]), "x"(row.half[0]));
    asm("%{vex%} vpdpbusd %2, %1, %0" : "+x"(sum.half[1]) : "x"(weights.half[1]), "x"(row.half[0]));
    return sum;
}
[[gnu::always_inline]] static inline Floats add_scaled(Floats total, Integers sums, float scale) {
    times<2>([&](auto h) INLINE { total.half[h] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(sums.half[h]), _mm256_set1_ps(scale), total.half[h]); });
    return total;
}
#endif

struct Int8 {
    typedef int8_t Row;
    typedef Floats Sums;
    static constexpr int group = 32;  // columns of a row that share a scale
    static constexpr int head_parts = 2;

    static constexpr int rows_at_once(bool many) { return rows_that_fit(many); }
    static constexpr int blocks_at_once(int, bool many) { return blocks_that_fit(many); }
    static int groups(int columns) { return (columns + group - 1) / group; }

    static void quantise_row(const float* from, Row* to, float* scales, int32_t* starts, int columns) {
        int k = 0;
#if defined(MEMBERWISE_VNNI)
        for (; k + group <= columns; k += group) *scales++ = quantise_group(from + k, to + k, starts++);
#endif
        for (; k < columns; k += group) {
            const int count = std::min(group, columns - k);
            *scales++ = quantise(from + k, to + k, count, 127.0f);
            int32_t total = 0;
            for (int d = 0; d < count; d++) total += to[k + d];
            *starts++ = -128 * total;
        }
    }

#if defined(MEMBERWISE_VNNI)
    // As `quantise` and the sum behind it, bit by bit, in two registers.
    static inline float quantise_group(const float* from, Row* to, int32_t* start) {
        const __m512 parts[2] = {_mm512_loadu_ps(from), _mm512_loadu_ps(from + 16)};
        const float peak = _mm512_reduce_max_ps(_mm512_max_ps(_mm512_abs_ps(parts[0]), _mm512_abs_ps(parts[1])));
        const __m512 factor = _mm512_set1_ps(peak > 0.0f ? 127.0f / peak : 0.0f);
        __m512i whole[2];
        times<2>([&](auto i) INLINE {
            whole[i] = _mm512_cvtps_epi32(_mm512_mul_ps(parts[i], factor));
            _mm_storeu_si128((__m128i*)(to + 16 * i), _mm512_cvtepi32_epi8(whole[i]));
        });
        *start = -128 * _mm512_reduce_add_epi32(_mm512_add_epi32(whole[0], whole[1]));
        return peak / 127.0f;
    }
#endif

    // What rounding took from a row.
    static void remainder(float* from, const Row* rounded, const float* scales, int columns) {
        for (int k = 0; k < columns; k++) from[k] -= rounded[k] * scales[k / group];
    }

    // out[block][row] of `B` blocks and `R` rows. More rows take longer than memory does: the next blocks are fetched beside them.
    template <int R, int B>
    static inline void multiply(const Product& p, int block, int row, Sums (&out)[B][R]) {
        const int columns = p.matrix.columns, count = groups(columns);
        const uint8_t* weights = (const uint8_t*)p.matrix.data + (size_t)block * columns * LANES;
        const Row* rows = (const Row*)p.rows + (size_t)row * columns;
        const float* scales = p.row_scales + (size_t)row * count;
        const int32_t* starts = p.row_starts + (size_t)row * count;
        Floats totals[B * R] = {};
        for (int g = 0; g < count; g++) {
            Integers sums[B * R];
            times<B * R>([&](auto i) INLINE { sums[i] = integers(starts[i % R * count + g]); });
            const auto add_four = [&](int k) INLINE {
                Integers w[B];
                times<B>([&](auto b) INLINE {
                    const uint8_t* here = weights + ((size_t)b * columns + k) * LANES;
                    if (R > 4) __builtin_prefetch(here + (size_t)B * columns * LANES, 0, 2);
                    w[b] = four_columns(here);
                });
                times<R>([&](auto r) INLINE {
                    const Integers x = integers(load<int32_t>(rows + (size_t)r * columns + k));
                    times<B>([&](auto b) INLINE { sums[b * R + r] = add_products(sums[b * R + r], w[b], x); });
                });
            };
            const int start = g * group, end = std::min(columns, start + group);
            if (end == start + group) times<group / 4>([&](auto four) INLINE { add_four(start + four * 4); });
            else for (int k = start; k < end; k += 4) add_four(k);
            times<B * R>([&](auto i) INLINE { totals[i] = add_scaled(totals[i], sums[i], scales[i % R * count + g]); });
        }
        times<B * R>([&](auto i) INLINE { out[i / R][i % R] = totals[i]; });
    }

    static inline void finish(const Sums& sums, const Product& p, int channel, int, f32x8 (&halves)[2]) {
        std::memcpy(halves, &sums, sizeof halves);
        halves[0] = halves[0] * load8(p.matrix.scale + channel);
        halves[1] = halves[1] * load8(p.matrix.scale + channel + 8);
    }
};

#else

struct Int8 {
    typedef int16_t Row;
#if defined(MEMBERWISE_AVX2)
    typedef struct {
        i32x8 quarters[4];  // of 4 channels each, whose two partial sums are neighbours
    } Sums;
    static constexpr int rows_at_once(bool) { return 6; }
#else
    typedef struct {
        int32_t lanes[LANES];
    } Sums;
    static constexpr int rows_at_once(bool) { return 4; }
#endif

    static constexpr int head_parts = 1;

    static constexpr int blocks_at_once(int, bool) { return 1; }
    static int groups(int) { return 1; }
    static void remainder(float*, const Row*, const float*, int) {}

    // The largest int16 that cannot overflow an int32 sum over the columns.
    static float row_limit(int columns) { return (float)std::min(16383, (int)(2147483647LL / 127 / columns)); }

    static void quantise_row(const float* from, Row* to, float* scales, int32_t*, int columns) {
        *scales = quantise(from, to, columns, row_limit(columns));
    }

    template <int R, int B>
    static inline void multiply(const Product& p, int block, int row, Sums (&out)[B][R]) {
        static_assert(B == 1, "these sums fill the registers");
        const int columns = p.matrix.columns;
        const uint8_t* weights = (const uint8_t*)p.matrix.data + (size_t)block * columns * LANES;
        const Row* rows = (const Row*)p.rows + (size_t)row * columns;
#if defined(MEMBERWISE_AVX2)
        // Quarters whose sums fit the registers: of three rows and four quarters GCC 12 keeps two in memory, for which all wait.
        constexpr int together = R <= 2 ? 4 : 2;
        times<4 / together>([&](auto part) INLINE {
            i32x8 sums[together * R];
            times<together * R>([&](auto i) INLINE { sums[i] = i32x8{}; });
            for (int k = 0; k < columns; k += 4) {
                const uint8_t* here = weights + (size_t)k * LANES + 16 * together * part;
                if (R > 1 && part == 0) __builtin_prefetch(here + (size_t)columns * LANES, 0, 2);
                __m256i w[together];
                times<together>([&](auto quarter) INLINE {
                    w[quarter] = _mm256_sub_epi16(_mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i*)(here + 16 * quarter))), _mm256_set1_epi16(128));
                });
                times<R>([&](auto r) INLINE {
                    const __m256i x = _mm256_set1_epi64x(load<int64_t>(rows + (size_t)r * columns + k));
                    times<together>([&](auto quarter) INLINE { sums[r * together + quarter] += (i32x8)_mm256_madd_epi16(w[quarter], x); });
                });
            }
            times<together * R>([&](auto i) INLINE { out[0][i / together].quarters[part * together + i % together] = sums[i]; });
        });
#else
        Sums sums[R] = {};
        for (int k = 0; k < columns; k += 4) {
            const uint8_t* here = weights + (size_t)k * LANES;
            for (int r = 0; r < R; r++)
                for (int lane = 0; lane < LANES; lane++)
                    for (int d = 0; d < 4; d++) sums[r].lanes[lane] += ((int)here[4 * lane + d] - 128) * rows[(size_t)r * columns + k + d];
        }
        std::memcpy((void*)out, sums, sizeof sums);
#endif
    }

    static inline void finish(const Sums& sums, const Product& p, int channel, int row, f32x8 (&halves)[2]) {
        int32_t lanes[LANES];
#if defined(MEMBERWISE_AVX2)
        for (int lane = 0; lane < LANES; lane++) lanes[lane] = sums.quarters[lane / 4][lane % 4 * 2] + sums.quarters[lane / 4][lane % 4 * 2 + 1];
#else
        std::memcpy(lanes, &sums, sizeof lanes);
#endif
        for (int half = 0; half < 2; half++)
            halves[half] = __builtin_convertvector(load<i32x8>(lanes + 8 * half), f32x8) * load8(p.matrix.scale + channel + 8 * half) * splat(p.row_scales[row]);
    }
};

#endif

#if defined(MEMBERWISE_AMX)
// Rows are integers of 15 bits with one scale, in two parts: 128 times the first and the second. A tile takes twice the
// columns at once that share a scale otherwise, and its sums leave it once, so that two parts cost less than many scales.
struct Int8Tiles : Int8 {
    typedef int16_t Row;  // for both parts, which lie behind each other
    static constexpr int head_parts = 1;
    static constexpr int step = 64;  // columns at once
    static constexpr int least_rows = 3;  // that tiles pay for

    static constexpr int rows_at_once(bool) { return least_rows - 1; }
    static constexpr int blocks_at_once(int, bool) { return 3; }

    static int groups(int) { return 2; }  // starts; there is one scale
    static bool fits(int columns) { return columns % step == 0; }
    static int8_t* part(Row* rows, int row, int number, int columns) { return (int8_t*)(rows + (size_t)row * columns) + number * columns; }

    static void quantise_row(const float* from, Row* to, float* scale, int32_t* starts, int columns) {
        constexpr float limit = 127 * 128;
        typedef int8_t Sixteen __attribute__((vector_size(16)));
        const float peak = peak_of(from, columns), factor = peak > 0.0f ? limit / peak : 0.0f;
        i32x16 totals[2] = {};
        for (int k = 0; k < columns; k += 16) {
            const f32x16 whole = nearest(load<f32x16>(from + k) * factor), high = nearest(whole * (1.0f / 128));
            const i32x16 parts[2] = {__builtin_convertvector(high, i32x16), __builtin_convertvector(whole - high * 128.0f, i32x16)};
            for (int number = 0; number < 2; number++) {
                store(part(to, 0, number, columns) + k, __builtin_convertvector(parts[number], Sixteen));
                totals[number] += parts[number];
            }
        }
        *scale = peak / limit;
        for (int number = 0; number < 2; number++) starts[number] = -128 * _mm512_reduce_add_epi32((__m512i)totals[number]);
    }

    static void remainder(float*, const Row*, const float*, int) {}

    // Without tiles, for few rows: the same sums of integers.
    template <int R, int B>
    static inline void multiply(const Product& p, int block, int row, Sums (&out)[B][R]) {
        const int columns = p.matrix.columns;
        const uint8_t* weights = (const uint8_t*)p.matrix.data + (size_t)block * columns * LANES;
        const int8_t* rows = part((Row*)p.rows, row, 0, columns);
        __m512i sums[B * R * 2];
        times<B * R * 2>([&](auto i) INLINE { sums[i] = _mm512_setzero_si512(); });
        for (int k = 0; k < columns; k += 4)
            times<B>([&](auto b) INLINE {
                const __m512i w = _mm512_loadu_si512(weights + ((size_t)b * columns + k) * LANES);
                times<R * 2>([&](auto i) INLINE { sums[b * R * 2 + i] = add_products(sums[b * R * 2 + i], w, integers(load<int32_t>(rows + (size_t)i * columns + k))); });
            });
        times<B * R>([&](auto i) INLINE { out[i / R][i % R] = together(p, row + i % R, sums[2 * i], sums[2 * i + 1]); });
    }

    // What 16 sums of both parts of a row come to.
    static __m512 together(const Product& p, int row, __m512i high, __m512i low) {
        const auto floats = [&](__m512i sums, int number) { return _mm512_cvtepi32_ps(_mm512_add_epi32(sums, _mm512_set1_epi32(p.row_starts[2 * row + number]))); };
        return _mm512_mul_ps(_mm512_fmadd_ps(floats(high, 0), _mm512_set1_ps(128.0f), floats(low, 1)), _mm512_set1_ps(p.row_scales[2 * row]));
    }
};
#endif
